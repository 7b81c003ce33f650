// What the cases of integers leave out: real numbers, where the index may differ by a rounding; points in spatial
// order, where blocks are passed over; infinity and NaN; more points than the workspace holds at once.
#include "kernels/biased_argmin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/error.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

struct Found {
  std::vector<std::int64_t> index;
  std::vector<float> value;
};

Found search(Stream& stream, const std::vector<float>& x, const std::vector<float>& points,
             const std::vector<float>& bias, std::int64_t d) {
  const std::int64_t B = static_cast<std::int64_t>(x.size()) / d, N = static_cast<std::int64_t>(bias.size());
  const DeviceArray<float> a(stream, x), b(stream, points), g(stream, bias), value(stream, std::vector<float>(B));
  const DeviceArray<std::int64_t> index(stream, std::vector<std::int64_t>(B));
  biased_argmin(stream, {.x = a.matrix(B, d),
                         .points = b.matrix(N, d),
                         .bias = g.vector(),
                         .index = index.vector(),
                         .value = value.vector()});
  return {index.values(), value.values()};
}

std::mt19937_64& random_bits() {
  static std::mt19937_64 random(std::random_device{}());
  return random;
}

std::vector<float> normals(std::int64_t n, double scale = 1) {
  std::normal_distribution<float> normal(0, static_cast<float>(scale));
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = normal(random_bits());
  return values;
}

TEST(BiasedArgmin, OfRealNumbersIsTheLeastUpToRounding) {
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    for (std::int64_t d : {1, 2, 3, 4, 9, 16, 17, 64, 131})
      for (bool ordered : {false, true}) {
        const std::int64_t B = 37, N = 1501;
        std::vector<float> x = normals(B * d), points = normals(N * d), bias = normals(N);
        // In order of the first coordinate the boxes of few dimensions are slabs, most of which are passed over.
        if (ordered) {
          std::vector<std::vector<float>> rows;
          for (std::int64_t j = 0; j < N; ++j) rows.emplace_back(points.begin() + j * d, points.begin() + (j + 1) * d);
          std::ranges::sort(rows);
          for (std::int64_t j = 0; j < N; ++j) std::ranges::copy(rows[j], points.begin() + j * d);
        }
        const Found found = search(stream, x, points, bias, d);
        for (std::int64_t i = 0; i < B; ++i) {
          const auto value = [&](std::int64_t j) {
            double sum = -static_cast<double>(bias[j]);
            for (std::int64_t k = 0; k < d; ++k)
              sum += std::pow(static_cast<double>(x[i * d + k]) - points[j * d + k], 2);
            return sum;
          };
          double least = std::numeric_limits<double>::infinity();
          for (std::int64_t j = 0; j < N; ++j) least = std::min(least, value(j));
          ASSERT_TRUE(found.index[i] >= 0 && found.index[i] < N);
          const double tolerance = 4e-7 * static_cast<double>(4 * d + 4);
          ASSERT_TRUE(std::abs(value(found.index[i]) - least) <= tolerance) << d << " " << i;
          ASSERT_TRUE(std::abs(found.value[i] - least) <= tolerance) << d << " " << i;
        }
      }
  }
}

TEST(BiasedArgmin, TakesTheFirstOfEqualPoints) {
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    for (std::int64_t d : {2, 20}) {
      const std::vector<float> row = normals(d);
      std::vector<float> points, bias(5003, 0.25f);
      for (std::size_t j = 0; j < bias.size(); ++j) points.insert(points.end(), row.begin(), row.end());
      for (std::size_t j = 0; j < 700; ++j) bias[j] = -1;
      EXPECT_EQ(search(stream, row, points, bias, d).index[0], 700);
    }
  }
}

TEST(BiasedArgmin, PassesOverWhatIsNoNumberOrInfinitelyFar) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    for (std::int64_t d : {2, 18}) {
      const std::int64_t N = 300;
      std::vector<float> x(3 * d, 0.0f), points(N * d, 1.0f), bias(N, -kInfinity);
      x[d] = kNan;
      bias[250] = 3;
      for (std::int64_t k = 0; k < 200 * d; ++k) points[k] = kNan;
      Found found = search(stream, x, points, bias, d);
      EXPECT_EQ(found.index, (std::vector<std::int64_t>{250, -1, 250}));
      EXPECT_EQ(found.value[0], static_cast<float>(d) - 3);
      EXPECT_EQ(found.value[1], kInfinity);
      points[250 * d + 1] = kNan;
      bias[260] = 2;
      found = search(stream, x, points, bias, d);
      EXPECT_EQ(found.index, (std::vector<std::int64_t>{260, -1, 260}));
      // A NaN beside it in its block of points hides nothing.
      points[261 * d] = kNan;
      bias[299] = 1;
      EXPECT_EQ(search(stream, x, points, bias, d).index, (std::vector<std::int64_t>{260, -1, 260}));
    }
  }
}

TEST(BiasedArgmin, SearchesMorePointsThanItKeepsAtOnce) {
  Stream stream(Device::cpu);
  const std::int64_t N = 600011;
  std::vector<float> points(N), bias(N, 0.0f), x = {-1, 0, 3.25f, 262144, 300000.5f, 6e6f};
  for (std::int64_t j = 0; j < N; ++j) points[j] = static_cast<float>(j);
  EXPECT_EQ(search(stream, x, points, bias, 1).index, (std::vector<std::int64_t>{0, 0, 3, 262144, 300000, N - 1}));
}

// Biases that rise by so much from point to point of a block that the square of their slope is beyond float.
TEST(BiasedArgmin, SearchesBlocksWhoseBiasesRiseSteeply) {
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    for (const std::int64_t d : {1, 2, 3})
      for (const double step : {1e-21, 1e-20, 1e-19, 1e-18, 1e-3}) {
        const std::int64_t N = 4096;
        std::vector<float> x = normals(8 * d), points(N * d), bias(N);
        for (std::int64_t k = 0; k < d; ++k) x[k] = 0;
        for (std::int64_t j = 0; j < N; ++j) {
          for (std::int64_t k = 0; k < d; ++k) points[j * d + k] = static_cast<float>(step * static_cast<double>(j));
          bias[j] = static_cast<float>(10 * j);
        }
        const Found found = search(stream, x, points, bias, d);
        for (std::size_t i = 0; i < found.index.size(); ++i) EXPECT_EQ(found.index[i], N - 1) << d << ", " << step;
      }
  }
}

TEST(BiasedArgmin, RefusesShapesThatDisagree) {
  Stream stream(Device::cpu);
  std::vector<float> numbers(100);
  std::vector<std::int64_t> index(10);
  const BiasedArgmin good{.x = View<float>(numbers.data(), {5, 3}),
                          .points = View<float>(numbers.data(), {7, 3}),
                          .bias = View<float>(numbers.data(), {7}),
                          .index = {index.data(), {5}},
                          .value = {numbers.data() + 50, {5}}};
  EXPECT_NO_THROW(biased_argmin(stream, good));
  BiasedArgmin bad = good;
  bad.points = View<float>(numbers.data(), {7, 2});
  EXPECT_THROW(biased_argmin(stream, bad), InputError);
  bad = good;
  bad.bias = View<float>(numbers.data(), {6});
  EXPECT_THROW(biased_argmin(stream, bad), InputError);
  bad = good;
  bad.index = {index.data(), {4}};
  EXPECT_THROW(biased_argmin(stream, bad), InputError);
  bad = good;
  bad.value = {numbers.data(), {6}};
  EXPECT_THROW(biased_argmin(stream, bad), InputError);
}

}  // namespace
}  // namespace otnfm
