#include "engine/metrics/kernel_distance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/error.h"
#include "tests/engine/metrics/samples.h"

namespace otnfm {
namespace {

using testing::normal_points;
using testing::Points;

double cubic_kernel(View<const float> a, std::int64_t i, View<const float> b, std::int64_t j) {
  double dot = 0;
  for (std::int64_t k = 0; k < a.columns(); ++k) dot += static_cast<double>(a(i, k)) * b(j, k);
  return std::pow(dot / static_cast<double>(a.columns()) + 1, 3);
}

// With subsets as large as the sets every subset is everything, and the definition can be written down.
TEST(KernelDistance, IsItsDefinition) {
  const Points a = normal_points(9, 5, 1), b = normal_points(9, 5, 2);
  double within = 0, between = 0;
  for (std::int64_t i = 0; i < 9; ++i)
    for (std::int64_t j = 0; j < 9; ++j) {
      if (i != j) within += cubic_kernel(a.view(), i, a.view(), j) + cubic_kernel(b.view(), i, b.view(), j);
      between += cubic_kernel(a.view(), i, b.view(), j);
    }
  const KernelDistance found = kernel_distance(a.view(), b.view(), {.subsets = 3, .size = 1000});
  EXPECT_NEAR(found.mean, within / 72 - 2 * between / 81, 1e-5);
  EXPECT_NEAR(found.standard_deviation, 0, 1e-5);
  EXPECT_EQ(found.subset, 9);
}

// Unbiased: of one distribution it scatters around 0 whatever n is; of two it stays where it is.
TEST(KernelDistance, DoesNotMoveWithTheNumberOfRows) {
  double mean_of_small = 0, mean_of_large = 0, apart_small = 0, apart_large = 0;
  constexpr int kRepeats = 12;
  for (int r = 0; r < kRepeats; ++r) {
    const auto seed = static_cast<std::uint32_t>(10 + 3 * r);
    const Points a = normal_points(400, 8, seed), b = normal_points(400, 8, seed + 1);
    Points moved = normal_points(400, 8, seed + 2);
    for (float& x : moved.values) x += 0.5f;
    const auto of = [&](const Points& left, const Points& right, std::int64_t n) {
      return kernel_distance(left.view().row_slice(0, n), right.view().row_slice(0, n), {.subsets = 1}).mean / kRepeats;
    };
    mean_of_small += of(a, b, 40), mean_of_large += of(a, b, 400);
    apart_small += of(a, moved, 40), apart_large += of(a, moved, 400);
  }
  EXPECT_NEAR(mean_of_small, 0, 0.05);
  EXPECT_NEAR(mean_of_large, 0, 0.01);
  EXPECT_GT(apart_large, 0.1);
  EXPECT_NEAR(apart_small / apart_large, 1, 0.35);
}

TEST(KernelDistance, RefusesWhatHasNone) {
  const Points a = normal_points(4, 2, 1), b = normal_points(4, 3, 1), one = normal_points(1, 2, 1);
  EXPECT_THROW(kernel_distance(a.view(), b.view()), InputError);
  EXPECT_THROW(kernel_distance(a.view(), one.view()), InputError);
}

}  // namespace
}  // namespace otnfm
