// g++ 12 takes the deliberately undefined operands of its own AVX-512 intrinsics for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include "engine/core/dense_matrix.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <Eigen/QR>
#include <cmath>

namespace otnfm {
namespace {

Eigen::Map<const Eigen::MatrixXd> map(const DenseMatrix& a) {
  return {a.data(), a.rows(), a.columns()};
}
Eigen::Map<Eigen::MatrixXd> map(DenseMatrix& a) {
  return {a.data(), a.rows(), a.columns()};
}

DenseMatrix taken(const Eigen::MatrixXd& a) {
  DenseMatrix result(a.rows(), a.cols());
  map(result) = a;
  return result;
}

}  // namespace

DenseMatrix transposed(View<const float> x) {
  DenseMatrix result(x.columns(), x.rows());
  for (std::int64_t i = 0; i < x.rows(); ++i)
    for (std::int64_t k = 0; k < x.columns(); ++k) result(k, i) = x.row(i)[k];
  return result;
}

std::vector<double> mean_row(View<const float> x) {
  std::vector<double> mean(static_cast<std::size_t>(x.columns()), 0.0);
  for (std::int64_t i = 0; i < x.rows(); ++i)
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += x.row(i)[k];
  for (double& value : mean) value /= static_cast<double>(x.rows());
  return mean;
}

DenseMatrix transposed_centred(View<const float> x, std::span<const double> mean) {
  DenseMatrix result = transposed(x);
  for (std::int64_t i = 0; i < result.columns(); ++i)
    for (std::int64_t k = 0; k < result.rows(); ++k) result(k, i) -= mean[static_cast<std::size_t>(k)];
  return result;
}

DenseMatrix product(const DenseMatrix& a, const DenseMatrix& b) {
  DenseMatrix result(a.rows(), b.columns());
  map(result).noalias() = map(a) * map(b);
  return result;
}

DenseMatrix transposed_product(const DenseMatrix& a, const DenseMatrix& b) {
  DenseMatrix result(a.columns(), b.columns());
  map(result).noalias() = map(a).transpose() * map(b);
  return result;
}

void add_gram(const DenseMatrix& a, DenseMatrix& sum) {
  map(sum).noalias() += map(a) * map(a).transpose();
}

SymmetricEigen symmetric_eigen(const DenseMatrix& symmetric, bool with_vectors) {
  if (symmetric.rows() == 0) return {};
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
      map(symmetric), with_vectors ? Eigen::ComputeEigenvectors : Eigen::EigenvaluesOnly);
  SymmetricEigen result;
  result.values.assign(solver.eigenvalues().begin(), solver.eigenvalues().end());
  if (with_vectors) result.vectors = taken(solver.eigenvectors());
  return result;
}

DenseMatrix orthonormal(const DenseMatrix& columns) {
  return taken(Eigen::HouseholderQR<Eigen::MatrixXd>(map(columns)).householderQ() *
               Eigen::MatrixXd::Identity(columns.rows(), columns.columns()));
}

std::optional<DenseMatrix> cholesky(const DenseMatrix& symmetric) {
  const Eigen::LLT<Eigen::MatrixXd> factor(map(symmetric));
  if (factor.info() != Eigen::Success) return std::nullopt;
  return taken(factor.matrixL());
}

DenseMatrix semidefinite_factor(const DenseMatrix& symmetric) {
  const Eigen::Map<const Eigen::MatrixXd> a = map(symmetric);
  Eigen::VectorXd left = a.diagonal();
  Eigen::MatrixXd factor(a.rows(), a.rows());
  Eigen::Index rank = 0, pivot = 0;
  if (a.rows() == 0) return {};
  const double rounding = static_cast<double>(a.rows()) * Eigen::NumTraits<double>::epsilon() * left.maxCoeff();
  for (; rank < a.rows() && left.maxCoeff(&pivot) > rounding; ++rank) {
    auto column = factor.col(rank);
    column = a.col(pivot);
    column.noalias() -= factor.leftCols(rank) * factor.row(pivot).head(rank).transpose();
    column /= std::sqrt(left[pivot]);
    left -= column.cwiseAbs2();
    left[pivot] = 0;  // what is left of it is rounding, and it is no pivot again
  }
  return taken(factor.leftCols(rank));
}

void solve_lower(const DenseMatrix& lower, DenseMatrix& b) {
  Eigen::Map<Eigen::MatrixXd> x = map(b);
  map(lower).triangularView<Eigen::Lower>().solveInPlace(x);
}

MatrixLogDeterminant log_determinant(const DenseMatrix& square) {
  const Eigen::PartialPivLU<Eigen::MatrixXd> lu(map(square));
  MatrixLogDeterminant result{0, lu.permutationP().determinant() > 0};
  for (const double pivot : lu.matrixLU().diagonal()) {
    result.log_abs += std::log(std::abs(pivot));
    if (pivot < 0) result.positive = !result.positive;
  }
  return result;
}

double norm(std::span<const double> values) {
  return Eigen::Map<const Eigen::VectorXd>(values.data(), static_cast<Eigen::Index>(values.size())).norm();
}

}  // namespace otnfm
