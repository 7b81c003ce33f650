// x b + bias, the same row by row for any batch.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "kernels/error.h"
#include "kernels/host/packed_linear.h"

namespace otnfm {
namespace {

TEST(PackedProduct, IsTheProduct) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const auto [m, k, n] : {std::array<std::int64_t, 3>{1, 1, 1},
                               {0, 3, 4},
                               {3, 0, 5},
                               {5, 7, 63},
                               {4, 31, 64},
                               {9, 33, 65},
                               {67, 129, 200}}) {
    std::vector<float> a(static_cast<std::size_t>(m * (k + 2))), b(static_cast<std::size_t>(k * n)),
        bias(static_cast<std::size_t>(n)), y(static_cast<std::size_t>(m * (n + 1)), std::nanf(""));
    for (std::vector<float>* values : {&a, &b, &bias})
      for (float& value : *values) value = normal(random);
    const View<float> left = View<float>(a.data(), {m, k + 2}).column_slice(1, k);
    const View<float> out = View<float>(y.data(), {m, n + 1}).column_slice(0, n);
    PackedProduct({b.data(), {k, n}}, {bias.data(), {n}})(left, out);
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double want = bias[static_cast<std::size_t>(j)], size = std::abs(want);
        for (std::int64_t l = 0; l < k; ++l) {
          want += static_cast<double>(left(i, l)) * b[static_cast<std::size_t>(l * n + j)];
          size += std::abs(static_cast<double>(left(i, l)) * b[static_cast<std::size_t>(l * n + j)]);
        }
        ASSERT_TRUE(std::abs(out(i, j) - want) <= 1e-6 * size) << out(i, j) << " for " << want;
      }
      ASSERT_TRUE(std::isnan(y[static_cast<std::size_t>(i * (n + 1) + n)])) << "wrote beyond the row";
      // A row of its own gives the same bits.
      std::vector<float> alone(static_cast<std::size_t>(n));
      PackedProduct({b.data(), {k, n}}, {bias.data(), {n}})(left.row_slice(i, 1), {alone.data(), {1, n}});
      for (std::int64_t j = 0; j < n; ++j) ASSERT_EQ(alone[static_cast<std::size_t>(j)], out(i, j));
    }
  }
}

TEST(PackedProduct, RefusesOtherShapes) {
  const std::vector<float> b(6), bias(3);
  std::vector<float> y(12);
  const PackedProduct product({b.data(), {2, 3}}, {bias.data(), {3}});
  EXPECT_THROW(product({b.data(), {2, 3}}, {y.data(), {2, 3}}), InputError);
  EXPECT_THROW(product({b.data(), {3, 2}}, {y.data(), {3, 4}}), InputError);
  EXPECT_THROW(PackedProduct({b.data(), {3, 2}}, {bias.data(), {3}}), InputError);
}

}  // namespace
}  // namespace otnfm
