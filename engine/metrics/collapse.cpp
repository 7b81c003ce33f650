#include "engine/metrics/collapse.h"

#include <vector>

#include "engine/data/random_streams.h"
#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {

double covariance_trace(View<const float> x) {
  require(x.rank == 2 && x.rows() > 0, "covariance_trace", "x must be a matrix with rows", describe(x));
  require_matrix("covariance_trace", "x", x, x.rows(), x.columns());
  // About the first row and not about 0, so that a mean far from 0 cancels nothing; double holds the rest.
  const std::size_t d = static_cast<std::size_t>(x.columns());
  std::vector<double> sum(d, 0.0), square(d, 0.0);
  for (std::int64_t i = 1; i < x.rows(); ++i) {
    const float *row = x.row(i), *origin = x.row(0);
    for (std::size_t j = 0; j < d; ++j) {
      const double difference = static_cast<double>(row[j]) - origin[j];
      sum[j] += difference;
      square[j] += difference * difference;
    }
  }
  const double n = static_cast<double>(x.rows());
  double trace = 0;
  for (std::size_t j = 0; j < d; ++j) trace += (square[j] - sum[j] * sum[j] / n) / n;
  return trace;
}

double total_variance(const Dataset& dataset, std::uint64_t seed) {
  constexpr std::int64_t kDraws = 16384;
  if (!dataset.endless()) return covariance_trace(dataset.rows());
  std::vector<float> drawn(kDraws * dataset.dimension());
  const View<float> rows(drawn.data(), {kDraws, dataset.dimension()});
  dataset.draw({.seed = seed, .stream = kTargetBankStream}, rows);
  return covariance_trace(rows);
}

}  // namespace otnfm
