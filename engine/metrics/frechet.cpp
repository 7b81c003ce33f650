// g++ 12 takes the deliberately undefined operands of its own AVX-512 intrinsics for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include "engine/metrics/frechet.h"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

Eigen::Map<const MatrixXd> covariance_of(const FeatureMoments& moments) {
  const auto d = static_cast<Eigen::Index>(moments.mean.size());
  return {moments.covariance.data(), d, d};
}

MatrixXd square_root(const MatrixXd& symmetric) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(symmetric);
  const VectorXd roots = solver.eigenvalues().cwiseMax(0.0).cwiseSqrt();
  return solver.eigenvectors() * roots.asDiagonal() * solver.eigenvectors().transpose();
}

void check_moments(const FeatureMoments& moments) {
  const std::size_t d = moments.mean.size();
  if (moments.covariance.size() != d * d)
    throw InputError(
        fmt::format("frechet_distance: a mean of {} numbers with a covariance of {}", d, moments.covariance.size()));
  for (const std::vector<double>* values : {&moments.mean, &moments.covariance})
    for (double value : *values)
      if (!std::isfinite(value)) throw InputError(fmt::format("frechet_distance: a moment is {}", value));
}

}  // namespace

FeatureMoments feature_moments(View<const float> x) {
  require(x.rank == 2 && x.rows() >= 2, "feature_moments", "features must have at least 2 rows", describe(x));
  require_matrix("feature_moments", "features", x, x.rows(), x.columns());
  constexpr std::int64_t kBlockRows = 1024;
  const Eigen::Index d = x.columns();
  const double n = static_cast<double>(x.rows());
  VectorXd mean = VectorXd::Zero(d);
  for (std::int64_t i = 0; i < x.rows(); ++i) mean += Eigen::Map<const Eigen::VectorXf>(x.row(i), d).cast<double>();
  mean /= n;
  MatrixXd covariance = MatrixXd::Zero(d, d), block;
  for (std::int64_t first = 0; first < x.rows(); first += kBlockRows) {
    const std::int64_t count = std::min(kBlockRows, x.rows() - first);
    block.resize(d, count);
    for (std::int64_t i = 0; i < count; ++i)
      block.col(i) = Eigen::Map<const Eigen::VectorXf>(x.row(first + i), d).cast<double>() - mean;
    covariance.noalias() += block * block.transpose();
  }
  covariance /= n - 1;
  return {.mean = {mean.begin(), mean.end()},
          .covariance = {covariance.data(), covariance.data() + covariance.size()},
          .count = x.rows()};
}

double frechet_distance(const FeatureMoments& a, const FeatureMoments& b) {
  if (a.mean.size() != b.mean.size())
    throw InputError(fmt::format("frechet_distance: {} features against {}", a.mean.size(), b.mean.size()));
  check_moments(a);
  check_moments(b);
  double distance = 0;
  for (std::size_t j = 0; j < a.mean.size(); ++j) distance += (a.mean[j] - b.mean[j]) * (a.mean[j] - b.mean[j]);
  const MatrixXd root = square_root(covariance_of(a));
  const MatrixXd product = root * covariance_of(b) * root;
  const MatrixXd symmetric = 0.5 * (product + product.transpose());
  const VectorXd eigenvalues =
      Eigen::SelfAdjointEigenSolver<MatrixXd>(symmetric, Eigen::EigenvaluesOnly).eigenvalues().cwiseMax(0.0);
  distance += covariance_of(a).trace() + covariance_of(b).trace() - 2 * eigenvalues.cwiseSqrt().sum();
  return std::max(0.0, distance);  // of equal moments the difference is rounding, of either sign
}

double frechet_distance(View<const float> a, View<const float> b) {
  return frechet_distance(feature_moments(a), feature_moments(b));
}

}  // namespace otnfm
