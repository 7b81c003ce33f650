// Small dense matrices in double and what is asked of them: products, eigenvalues, factors. By Eigen, whose headers
// take longer to compile than any file of ours, so that dense_matrix.cpp alone includes them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/view.h"

namespace otnfm {

/// [rows, columns], column after column, so that column(j) is contiguous.
class DenseMatrix {
 public:
  DenseMatrix() = default;
  DenseMatrix(std::int64_t rows, std::int64_t columns, double value = 0)
      : rows_(rows), columns_(columns), values_(static_cast<std::size_t>(rows * columns), value) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  double* data() { return values_.data(); }
  const double* data() const { return values_.data(); }
  std::span<double> values() { return values_; }
  std::span<const double> values() const { return values_; }
  double& operator()(std::int64_t i, std::int64_t j) { return values_[static_cast<std::size_t>(j * rows_ + i)]; }
  double operator()(std::int64_t i, std::int64_t j) const { return values_[static_cast<std::size_t>(j * rows_ + i)]; }
  std::span<double> column(std::int64_t j) { return {data() + j * rows_, static_cast<std::size_t>(rows_)}; }
  std::span<const double> column(std::int64_t j) const { return {data() + j * rows_, static_cast<std::size_t>(rows_)}; }

 private:
  std::int64_t rows_ = 0, columns_ = 0;
  std::vector<double> values_;
};

/// The rows of x [n, d] as columns, [d, n].
DenseMatrix transposed(View<const float> x);

/// The mean row of x [n, d], and x's rows less a mean [d] as columns, [d, n].
std::vector<double> mean_row(View<const float> x);
DenseMatrix transposed_centred(View<const float> x, std::span<const double> mean);

DenseMatrix product(const DenseMatrix& a, const DenseMatrix& b);
DenseMatrix transposed_product(const DenseMatrix& a, const DenseMatrix& b);  ///< a^T b
/// sum += a a^T.
void add_gram(const DenseMatrix& a, DenseMatrix& sum);

/// Of a symmetric matrix: eigenvalues, ascending, and their vectors as columns (none where they are not wanted).
struct SymmetricEigen {
  std::vector<double> values;
  DenseMatrix vectors;
};
SymmetricEigen symmetric_eigen(const DenseMatrix& symmetric, bool with_vectors = true);

/// An orthonormal basis of the columns' span (of as many columns), by Householder reflections.
DenseMatrix orthonormal(const DenseMatrix& columns);

/// L of A = L L^T; nothing where A is not positive definite.
std::optional<DenseMatrix> cholesky(const DenseMatrix& symmetric);
/// F [n, r] of A = F F^T, A positive semi-definite of rank r: Cholesky's with pivots, until what is left is rounding.
/// n r^2 FLOPs.
DenseMatrix semidefinite_factor(const DenseMatrix& symmetric);
/// b <- L^-1 b, L lower triangular.
void solve_lower(const DenseMatrix& lower, DenseMatrix& b);

/// Of a square matrix: log|det| and whether det > 0.
struct MatrixLogDeterminant {
  double log_abs = 0;
  bool positive = true;
};
MatrixLogDeterminant log_determinant(const DenseMatrix& square);

/// The square root of the sum of squares.
double norm(std::span<const double> values);

}  // namespace otnfm
