#include "engine/metrics/mmd.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "engine/metrics/pairwise.h"
#include "kernels/check.h"
#include "kernels/device/math.h"

namespace otnfm {
namespace {

constexpr std::array<double, 5> kScales = {0.25, 0.5, 1, 2, 4};

// Of points that are all equal: 1, since every kernel value is then 1 at whatever scale.
double median_squared_distance(View<const float> data) {
  const std::int64_t n = std::min<std::int64_t>(data.rows(), 1024);
  std::vector<float> distances(static_cast<std::size_t>(n * n));
  PairwiseDistances pairs(data.row_slice(0, n), data.row_slice(0, n));
  pairs.for_each_row_block([&](std::int64_t i, std::int64_t first, const float* squared, std::int64_t count) {
    std::copy_n(squared, count, distances.begin() + i * n + first);
  });
  for (std::int64_t i = 0; i < n; ++i)  // the last of a row takes the place of the distance to itself
    distances[static_cast<std::size_t>(i * n + i)] = distances[static_cast<std::size_t>(i * n + n - 1)];
  std::vector<float> others;
  for (std::int64_t i = 0; i < n; ++i)
    others.insert(others.end(), distances.begin() + i * n, distances.begin() + i * n + n - 1);
  const auto middle = others.begin() + static_cast<std::ptrdiff_t>(others.size() / 2);
  std::nth_element(others.begin(), middle, others.end());
  if (*middle > 0) return *middle;
  const double mean = std::accumulate(others.begin(), others.end(), 0.0) / static_cast<double>(others.size());
  return mean > 0 ? mean : 1;
}

// The sum over j of k(x_i, y_j), in lanes of double so that it vectorises.
double kernel_sum(const float* squared, std::int64_t count, double scale) {
  constexpr std::int64_t kLanes = 16;
  std::array<double, kLanes> sums{};
  double rest = 0;
  for (double c : kScales) {
    const float factor = static_cast<float>(-1 / (c * scale));
    std::int64_t j = 0;
    for (; j + kLanes <= count; j += kLanes)
      for (std::int64_t lane = 0; lane < kLanes; ++lane)
        sums[static_cast<std::size_t>(lane)] += static_cast<double>(exp_of(factor * squared[j + lane]));
    for (; j < count; ++j) rest += static_cast<double>(exp_of(factor * squared[j]));
  }
  return (std::accumulate(sums.begin(), sums.end(), 0.0) + rest) / static_cast<double>(kScales.size());
}

// The sum of k over all pairs, or over those with i != j.
double kernel_total(View<const float> x, View<const float> y, double scale, bool without_diagonal) {
  std::vector<double> sums(static_cast<std::size_t>(x.rows()), 0.0);
  PairwiseDistances pairs(x, y);
  pairs.for_each_row_block([&](std::int64_t i, std::int64_t first, const float* squared, std::int64_t count) {
    double& sum = sums[static_cast<std::size_t>(i)];
    sum += kernel_sum(squared, count, scale);
    if (without_diagonal && i >= first && i < first + count) sum -= kernel_sum(squared + (i - first), 1, scale);
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

Mmd mmd(View<const float> generated, View<const float> data) {
  require(generated.rank == 2 && generated.rows() >= 2, "mmd", "the generated sample must have at least 2 rows",
          describe(generated));
  require(data.rank == 2 && data.rows() >= 2, "mmd", "the data must have at least 2 rows", describe(data));
  const double scale = median_squared_distance(data);
  const double n = static_cast<double>(generated.rows()), m = static_cast<double>(data.rows());
  const double within_generated = kernel_total(generated, generated, scale, true) / (n * (n - 1));
  const double within_data = kernel_total(data, data, scale, true) / (m * (m - 1));
  const double between = kernel_total(generated, data, scale, false) / (n * m);
  return {.squared = within_generated + within_data - 2 * between, .squared_distance = scale};
}

}  // namespace otnfm
