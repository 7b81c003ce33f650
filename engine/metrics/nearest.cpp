#include "engine/metrics/nearest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/metrics/pairwise.h"
#include "kernels/check.h"

namespace otnfm {
namespace {

struct Candidate {
  float squared = std::numeric_limits<float>::infinity();
  std::int64_t index = -1;
};

// The nearest so far, ascending.
class Candidates {
 public:
  static constexpr std::size_t kCount = 16;

  void offer(const float* squared, std::int64_t first, std::int64_t count) {
    constexpr std::int64_t kChunk = 64;
    for (std::int64_t begin = 0; begin < count; begin += kChunk) {
      const std::int64_t end = std::min(count, begin + kChunk);
      bool any = false;  // without a branch for each, so that it is one vector comparison for many
      for (std::int64_t j = begin; j < end; ++j) any |= squared[j] < kept_.back().squared;
      if (!any) continue;
      for (std::int64_t j = begin; j < end; ++j)
        if (squared[j] < kept_.back().squared) insert({squared[j], first + j});
    }
  }

  const std::array<Candidate, kCount>& kept() const { return kept_; }

 private:
  void insert(Candidate candidate) {
    std::size_t at = kCount - 1;
    for (; at > 0 && kept_[at - 1].squared > candidate.squared; --at) kept_[at] = kept_[at - 1];
    kept_[at] = candidate;
  }

  std::array<Candidate, kCount> kept_;
};

double squared_distance(const float* x, const float* y, std::int64_t d) {
  double sum = 0;
  for (std::int64_t k = 0; k < d; ++k) {
    const double difference = static_cast<double>(x[k]) - y[k];
    sum += difference * difference;
  }
  return sum;
}

}  // namespace

double Nearest::mean_distance() const {
  return std::accumulate(distance.begin(), distance.end(), 0.0) / static_cast<double>(distance.size());
}

Nearest find_nearest(View<const float> samples, View<const float> points) {
  const char* where = "find_nearest";
  require(samples.rank == 2, where, "samples must be a matrix", describe(samples));
  require(points.rank == 2, where, "points must be a matrix", describe(points));
  require_matrix(where, "points", points, points.rows(), samples.columns());
  const std::int64_t n = samples.rows(), d = samples.columns();
  if (n == 0) return {};
  PairwiseDistances pairs(samples, points);
  std::vector<Candidates> candidates(static_cast<std::size_t>(n));
  pairs.for_each_row_block([&](std::int64_t i, std::int64_t first, const float* squared, std::int64_t count) {
    candidates[static_cast<std::size_t>(i)].offer(squared, first, count);
  });

  Nearest nearest{.index = std::vector<std::int64_t>(static_cast<std::size_t>(n), -1),
                  .distance = std::vector<double>(static_cast<std::size_t>(n))};
  host::parallel_rows(n, 64 * d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double least = std::numeric_limits<double>::infinity();
      std::int64_t index = -1;
      const auto measure = [&](std::int64_t j) {
        const double squared = squared_distance(samples.row(i), points.row(j), d);
        if (!(squared < least) && !(squared == least && j < index)) return;
        least = squared;
        index = j;
      };
      const auto& kept = candidates[static_cast<std::size_t>(i)].kept();
      const double reach = kept.front().squared + 2 * pairs.error_bound(i);  // the nearest is no further, as rounded
      if (kept.back().squared <= reach) {
        for (std::int64_t j = 0; j < points.rows(); ++j) measure(j);
      } else {
        for (const Candidate& candidate : kept)
          if (candidate.squared <= reach) measure(candidate.index);
      }
      nearest.index[static_cast<std::size_t>(i)] = index;
      nearest.distance[static_cast<std::size_t>(i)] = std::sqrt(least);
    }
  });
  return nearest;
}

}  // namespace otnfm
