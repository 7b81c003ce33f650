// Random inputs of the metrics' tests.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "kernels/view.h"

namespace otnfm::testing {

/// [n, d] that owns its memory.
struct Points {
  std::vector<float> values;
  std::int64_t n = 0, d = 0;

  View<const float> view() const { return {values.data(), {n, d}}; }
  View<float> view() { return {values.data(), {n, d}}; }
};

inline Points normal_points(std::int64_t n, std::int64_t d, std::uint32_t seed, double mean = 0, double deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(mean, deviation);
  Points points{std::vector<float>(static_cast<std::size_t>(n * d)), n, d};
  for (float& value : points.values) value = static_cast<float>(normal(random));
  return points;
}

}  // namespace otnfm::testing
