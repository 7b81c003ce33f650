#include "engine/metrics/precision_recall.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/metrics/pairwise.h"
#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

// Few distances are small enough to matter: which blocks of them hold one is a comparison without branches.
constexpr std::int64_t kCompared = 64;

std::vector<float> squared_radii_of(View<const float> x, int neighbours) {
  const std::size_t n = static_cast<std::size_t>(x.rows()), width = static_cast<std::size_t>(neighbours);
  std::vector<float> nearest(n * width, std::numeric_limits<float>::infinity());  // [n, neighbours], ascending
  PairwiseDistances pairs(x, x);
  pairs.for_each_row_block([&](std::int64_t i, std::int64_t first, const float* squared, std::int64_t count) {
    float* kept = nearest.data() + static_cast<std::size_t>(i) * width;
    for (std::int64_t begin = 0; begin < count; begin += kCompared) {
      const std::int64_t end = std::min(count, begin + kCompared);
      const float furthest = kept[width - 1];
      bool any = false;
      for (std::int64_t j = begin; j < end; ++j) any |= squared[j] < furthest;
      if (!any) continue;
      for (std::int64_t j = begin; j < end; ++j) {
        if (squared[j] >= kept[width - 1] || first + j == i) continue;
        std::size_t at = width - 1;
        for (; at > 0 && kept[at - 1] > squared[j]; --at) kept[at] = kept[at - 1];
        kept[at] = squared[j];
      }
    }
  });
  std::vector<float> radii(n);
  for (std::size_t i = 0; i < n; ++i) radii[i] = nearest[i * width + width - 1];
  return radii;
}

double share(std::int64_t inside, std::int64_t of) {
  return static_cast<double>(inside) / static_cast<double>(of);
}

}  // namespace

Manifold::Manifold(View<const float> set, int neighbours) : points(set) {
  require(set.rank == 2, "precision_recall", "each set of points must be a matrix", describe(set));
  if (neighbours < 1 || neighbours >= set.rows())
    throw InputError(fmt::format("precision_recall: {} neighbours among {} points", neighbours, set.rows()));
  squared_radii = squared_radii_of(set, neighbours);
}

PrecisionRecall precision_recall(const Manifold& generated, const Manifold& data) {
  const std::int64_t n = generated.points.rows(), m = data.points.rows();
  const float* data_radii = data.squared_radii.data();
  std::vector<char> real(static_cast<std::size_t>(n), 0);
  // One pass over the distances answers both questions; a data point is found by rows that other threads have.
  std::vector<std::atomic<char>> covered(static_cast<std::size_t>(m));
  PairwiseDistances pairs(generated.points, data.points);
  pairs.for_each_row_block([&](std::int64_t i, std::int64_t first, const float* squared, std::int64_t count) {
    const float radius = generated.squared_radii[static_cast<std::size_t>(i)];
    bool inside = false;
    for (std::int64_t begin = 0; begin < count; begin += kCompared) {
      const std::int64_t end = std::min(count, begin + kCompared);
      bool covers = false;
      for (std::int64_t j = begin; j < end; ++j) inside |= squared[j] <= data_radii[first + j];
      for (std::int64_t j = begin; j < end; ++j) covers |= squared[j] <= radius;
      if (!covers) continue;
      for (std::int64_t j = begin; j < end; ++j)
        if (squared[j] <= radius) covered[static_cast<std::size_t>(first + j)].store(1, std::memory_order_relaxed);
    }
    if (inside) real[static_cast<std::size_t>(i)] = 1;
  });
  return {.precision = share(std::count(real.begin(), real.end(), 1), n),
          .recall = share(std::count(covered.begin(), covered.end(), 1), m)};
}

PrecisionRecall precision_recall(View<const float> generated, View<const float> data, int neighbours) {
  return precision_recall(Manifold(generated, neighbours), Manifold(data, neighbours));
}

}  // namespace otnfm
