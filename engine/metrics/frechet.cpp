#include "engine/metrics/frechet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/dense_matrix.h"
#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

DenseMatrix covariance_of(const FeatureMoments& moments) {
  const auto d = static_cast<std::int64_t>(moments.mean.size());
  DenseMatrix covariance(d, d);
  std::ranges::copy(moments.covariance, covariance.data());
  return covariance;
}

double trace(const DenseMatrix& a) {
  double sum = 0;
  for (std::int64_t k = 0; k < a.rows(); ++k) sum += a(k, k);
  return sum;
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
  const std::int64_t d = x.columns();
  const std::vector<double> mean = mean_row(x);
  DenseMatrix covariance(d, d);
  for (std::int64_t first = 0; first < x.rows(); first += kBlockRows)
    add_gram(transposed_centred(x.row_slice(first, std::min(kBlockRows, x.rows() - first)), mean), covariance);
  for (double& value : covariance.values()) value /= static_cast<double>(x.rows() - 1);
  return {.mean = mean, .covariance = {covariance.values().begin(), covariance.values().end()}, .count = x.rows()};
}

double frechet_distance(const FeatureMoments& a, const FeatureMoments& b) {
  if (a.mean.size() != b.mean.size())
    throw InputError(fmt::format("frechet_distance: {} features against {}", a.mean.size(), b.mean.size()));
  check_moments(a);
  check_moments(b);
  double distance = 0;
  for (std::size_t j = 0; j < a.mean.size(); ++j) distance += (a.mean[j] - b.mean[j]) * (a.mean[j] - b.mean[j]);
  const DenseMatrix covariance_a = covariance_of(a), covariance_b = covariance_of(b);
  const DenseMatrix factor = semidefinite_factor(covariance_a);
  DenseMatrix squared = product(transposed_product(factor, covariance_b), factor);
  for (std::int64_t i = 0; i < squared.rows(); ++i)
    for (std::int64_t j = 0; j < i; ++j) squared(i, j) = squared(j, i) = 0.5 * (squared(i, j) + squared(j, i));
  distance += trace(covariance_a) + trace(covariance_b);
  for (const double eigenvalue : symmetric_eigen(squared, false).values)
    distance -= 2 * std::sqrt(std::max(0.0, eigenvalue));
  return std::max(0.0, distance);  // of equal moments the difference is rounding, of either sign
}

double frechet_distance(View<const float> a, View<const float> b) {
  return frechet_distance(feature_moments(a), feature_moments(b));
}

}  // namespace otnfm
