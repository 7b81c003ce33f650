#include "engine/metrics/precision_recall.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/metrics/pairwise.h"
#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

// The squared distance of each point to its k-th nearest other point.
std::vector<float> squared_radii(View<const float> x, int k) {
  const std::size_t n = static_cast<std::size_t>(x.rows()), width = static_cast<std::size_t>(k);
  std::vector<float> nearest(n * width, std::numeric_limits<float>::infinity());  // [n, k], ascending
  PairwiseDistances pairs(x, x);
  pairs.for_each_row_block([&](std::int64_t i, std::int64_t first, const float* squared, std::int64_t count) {
    float* kept = nearest.data() + static_cast<std::size_t>(i) * width;
    for (std::int64_t j = 0; j < count; ++j) {
      if (squared[j] >= kept[k - 1] || first + j == i) continue;
      int at = k - 1;
      for (; at > 0 && kept[at - 1] > squared[j]; --at) kept[at] = kept[at - 1];
      kept[at] = squared[j];
    }
  });
  std::vector<float> radii(n);
  for (std::size_t i = 0; i < n; ++i) radii[i] = nearest[i * width + width - 1];
  return radii;
}

// The share of the points inside of at least one ball.
double share_inside(View<const float> points, View<const float> centres, const std::vector<float>& radii) {
  std::vector<char> inside(static_cast<std::size_t>(points.rows()), 0);
  PairwiseDistances pairs(points, centres);
  pairs.for_each_row_block([&](std::int64_t i, std::int64_t first, const float* squared, std::int64_t count) {
    bool any = false;
    for (std::int64_t j = 0; j < count; ++j) any |= squared[j] <= radii[static_cast<std::size_t>(first + j)];
    inside[static_cast<std::size_t>(i)] |= static_cast<char>(any);
  });
  return static_cast<double>(std::count(inside.begin(), inside.end(), 1)) / static_cast<double>(inside.size());
}

}  // namespace

PrecisionRecall precision_recall(View<const float> generated, View<const float> data, int neighbours) {
  require(generated.rank == 2, "precision_recall", "the generated sample must be a matrix", describe(generated));
  require(data.rank == 2, "precision_recall", "the data must be a matrix", describe(data));
  if (neighbours < 1 || neighbours >= std::min(generated.rows(), data.rows()))
    throw InputError(fmt::format("precision_recall: {} neighbours among {} generated and {} data points", neighbours,
                                 generated.rows(), data.rows()));
  return {.precision = share_inside(generated, data, squared_radii(data, neighbours)),
          .recall = share_inside(data, generated, squared_radii(generated, neighbours))};
}

}  // namespace otnfm
