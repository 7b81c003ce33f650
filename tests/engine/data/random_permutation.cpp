#include "engine/data/random_permutation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/error.h"

namespace otnfm {
namespace {

std::vector<std::int64_t> all_of(const RandomPermutation& permutation) {
  std::vector<std::int64_t> image(static_cast<std::size_t>(permutation.size()));
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = permutation(static_cast<std::int64_t>(i));
  return image;
}

TEST(RandomPermutation, ReachesEveryNumberOnce) {
  for (std::int64_t n : {1, 2, 3, 4, 5, 31, 32, 33, 1000, 1024, 1025, 65537}) {
    std::vector<std::int64_t> image = all_of(RandomPermutation(n, {.seed = 7, .stream = 1, .step = 2}));
    std::sort(image.begin(), image.end());
    for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(image[static_cast<std::size_t>(i)], i) << "of " << n;
  }
  EXPECT_THROW(RandomPermutation(0, {}), InputError);
  EXPECT_THROW(RandomPermutation(-3, {}), InputError);
}

TEST(RandomPermutation, DependsOnEveryPartOfTheKey) {
  const std::vector<std::int64_t> base = all_of(RandomPermutation(1000, {.seed = 1, .stream = 2, .step = 3}));
  EXPECT_EQ(base, all_of(RandomPermutation(1000, {.seed = 1, .stream = 2, .step = 3})));
  EXPECT_NE(base, all_of(RandomPermutation(1000, {.seed = 9, .stream = 2, .step = 3})));
  EXPECT_NE(base, all_of(RandomPermutation(1000, {.seed = 1, .stream = 9, .step = 3})));
  EXPECT_NE(base, all_of(RandomPermutation(1000, {.seed = 1, .stream = 2, .step = 9})));
}

// Over many keys each number goes everywhere equally often, and neighbours do not keep together: chi-squared of the
// 11 x 11 tables (i, image of i) and (image of 0, image of 1) at 6 standard deviations.
TEST(RandomPermutation, IsUniform) {
  constexpr int kSize = 11, kKeys = 11000;
  std::vector<double> image(kSize * kSize), pair(kSize * kSize);
  for (int key = 0; key < kKeys; ++key) {
    const RandomPermutation permutation(kSize, {.seed = 5, .step = static_cast<std::uint64_t>(key)});
    for (int i = 0; i < kSize; ++i) ++image[static_cast<std::size_t>(i * kSize + permutation(i))];
    ++pair[static_cast<std::size_t>(permutation(0) * kSize + permutation(1))];
  }
  double image_chi = 0, pair_chi = 0;
  const double image_mean = kKeys / double{kSize}, pair_mean = kKeys / double{kSize * (kSize - 1)};
  for (int i = 0; i < kSize * kSize; ++i) {
    image_chi += std::pow(image[static_cast<std::size_t>(i)] - image_mean, 2) / image_mean;
    if (i / kSize != i % kSize) pair_chi += std::pow(pair[static_cast<std::size_t>(i)] - pair_mean, 2) / pair_mean;
  }
  EXPECT_LT(std::abs(image_chi - 100), 6 * std::sqrt(2.0 * 100));  // (11 - 1)^2 degrees of freedom
  EXPECT_LT(std::abs(pair_chi - 109), 6 * std::sqrt(2.0 * 109));
}

}  // namespace
}  // namespace otnfm
