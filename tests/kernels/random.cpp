#include "kernels/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "kernels/device/random.h"
#include "kernels/error.h"
#include "tests/cases/reference_random.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

// The known answers that come with Random123 (kat_vectors, philox4x32 10).
struct KnownAnswer {
  std::uint32_t counter[4], key[2], want[4];
};
constexpr KnownAnswer kKnownAnswers[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

TEST(Philox, GivesTheKnownAnswers) {
  for (const KnownAnswer& k : kKnownAnswers) {
    const PhiloxWords words = philox4x32_10(k.counter[0], k.counter[1], k.counter[2], k.counter[3],
                                            k.key[0] + (std::uint64_t{k.key[1]} << 32));
    const cases::Words reference =
        cases::reference_philox({k.counter[0], k.counter[1], k.counter[2], k.counter[3]}, k.key[0], k.key[1]);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(words.word[i], k.want[i]);
      EXPECT_EQ(reference[i], k.want[i]) << "the reference of the cases";
    }
  }
}

std::vector<float> draw(void (*op)(Stream&, const Normal&), std::int64_t rows, std::int64_t columns, RandomKey key) {
  Stream stream(Device::cpu);
  std::vector<float> y(rows * columns);
  op(stream, {.y = {y.data(), {rows, columns}}, .key = key});
  return y;
}

/// sqrt(n) times the largest distance between the empirical distribution and `cdf`. Above 1.95 with probability 0.001;
/// the seeds are fixed, so a result is what it is.
double kolmogorov_smirnov(std::vector<float> y, const std::function<double(double)>& cdf) {
  std::sort(y.begin(), y.end());
  const auto n = static_cast<double>(y.size());
  double worst = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double p = cdf(y[i]);
    worst = std::max({worst, std::abs(p - static_cast<double>(i) / n), std::abs(p - static_cast<double>(i + 1) / n)});
  }
  return worst * std::sqrt(n);
}

double standard_normal_cdf(double z) {
  return 0.5 * std::erfc(-z / std::sqrt(2.0));
}

TEST(Normal, HasTheMomentsTailsAndDistributionOfOne) {
  constexpr std::int64_t kRows = 1 << 11, kColumns = 1 << 10;
  constexpr double n = kRows * kColumns;
  const std::vector<float> y = draw(normal, kRows, kColumns, {.seed = 11, .stream = 2});
  double power[5] = {}, neighbours = 0, rows_apart = 0;
  std::int64_t beyond3 = 0, beyond4 = 0, beyond5 = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double z = y[i];
    power[1] += z, power[2] += z * z, power[3] += z * z * z, power[4] += z * z * z * z;
    if (i >= 1) neighbours += z * y[i - 1];
    if (i >= kColumns) rows_apart += z * y[i - kColumns];
    beyond3 += std::abs(z) > 3, beyond4 += std::abs(z) > 4, beyond5 += std::abs(z) > 5;
  }
  // Four standard deviations of each statistic.
  EXPECT_LT(std::abs(power[1] / n), 4 * std::sqrt(1 / n));
  EXPECT_LT(std::abs(power[2] / n - 1), 4 * std::sqrt(2 / n));
  EXPECT_LT(std::abs(power[3] / n), 4 * std::sqrt(15 / n));
  EXPECT_LT(std::abs(power[4] / n - 3), 4 * std::sqrt(96 / n));
  EXPECT_LT(std::abs(neighbours / n), 4 * std::sqrt(1 / n));
  EXPECT_LT(std::abs(rows_apart / n), 4 * std::sqrt(1 / n));
  for (const auto& [count, bound] : {std::pair{beyond3, 3.0}, {beyond4, 4.0}, {beyond5, 5.0}}) {
    const double expected = n * std::erfc(bound / std::sqrt(2.0));
    EXPECT_LT(std::abs(static_cast<double>(count) - expected), 4 * std::sqrt(expected)) << "|z| > " << bound;
  }
  EXPECT_LT(kolmogorov_smirnov({y.begin(), y.begin() + 200000}, standard_normal_cdf), 1.95);
}

TEST(Uniform, HasTheMomentsAndDistributionOfOne) {
  Stream stream(Device::cpu);
  std::vector<float> y(500000);
  uniform(stream, {.y = {y.data(), {5000, 100}}, .key = {.seed = 5}, .low = -1, .high = 3});
  const auto n = static_cast<double>(y.size());
  double sum = 0, square = 0;
  for (float x : y) sum += x, square += (x - 1.0) * (x - 1.0);
  EXPECT_LT(std::abs(sum / n - 1), 4 * std::sqrt(16.0 / 12 / n));
  EXPECT_LT(std::abs(square / n - 16.0 / 12), 4 * std::sqrt(256.0 / 180 / n));
  EXPECT_LT(kolmogorov_smirnov(y, [](double x) { return (x + 1) / 4; }), 1.95);
  EXPECT_GE(*std::min_element(y.begin(), y.end()), -1);
  EXPECT_LT(*std::max_element(y.begin(), y.end()), 3);
}

TEST(Uniform, NeverReachesHigh) {
  const float high = 2;
  const UniformMap map{1, high, 1, std::nextafter(high, 1.0f)};
  float y[4];
  map({{0xffffffff, 0, 0x80000000, 0xffffff00}}, y);
  EXPECT_EQ(y[0], std::nextafter(high, 1.0f));  // 2 - 2^-24 would round to 2
  EXPECT_EQ(y[1], 1);
  EXPECT_EQ(y[2], 1.5f);
  EXPECT_LT(y[3], high);
}

TEST(Normal, IsFiniteAtTheExtremeWords) {
  for (std::uint32_t radius : {0u, 1u, 0xffffffffu, 0xfffffffeu, 0x80000000u})
    for (std::uint32_t angle : {0u, 0x40000000u, 0x7fffffffu, 0xffffffffu}) {
      float z0, z1;
      normal_pair(radius, angle, z0, z1);
      EXPECT_TRUE(std::hypot(z0, z1) <= 6.8) << radius << ", " << angle;
    }
}

TEST(Random, NumbersDoNotDependOnTheBatchTheyAreDrawnIn) {
  for (std::int64_t columns : {1, 2, 3, 7, 64}) {
    const std::vector<float> whole = draw(normal, 60, columns, {.seed = 3, .first_row = 10});
    for (std::int64_t split : {1, 2, 3, 17, 59}) {
      std::vector<float> parts = draw(normal, split, columns, {.seed = 3, .first_row = 10});
      const std::vector<float> rest = draw(normal, 60 - split, columns, {.seed = 3, .first_row = 10 + split});
      parts.insert(parts.end(), rest.begin(), rest.end());
      EXPECT_EQ(parts, whole) << columns << " columns, split at " << split;
    }
  }
}

TEST(Random, SeedStreamAndStepEachGiveOtherNumbers) {
  const std::uint64_t steps[] = {0, 1, 7};
  const RandomKey keys[] = {{.seed = 1},
                            {.seed = 2},
                            {.seed = 1 + (std::uint64_t{1} << 32)},
                            {.seed = 1, .stream = 1},
                            {.seed = 1, .step = {&steps[1], {1}}},
                            {.seed = 1, .step = {&steps[2], {1}}}};
  std::vector<std::vector<float>> drawn;
  for (const RandomKey& key : keys) drawn.push_back(draw(normal, 100, 10, key));
  for (std::size_t i = 0; i < drawn.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      int same = 0;
      for (std::size_t k = 0; k < drawn[i].size(); ++k) same += drawn[i][k] == drawn[j][k];
      EXPECT_LE(same, 2) << "keys " << i << " and " << j;
    }
  EXPECT_EQ(draw(normal, 100, 10, {.seed = 1, .step = {&steps[0], {1}}}), drawn[0]) << "no memory is step 0";
}

TEST(RandomIndices, AreEvenAndInRange) {
  Stream stream(Device::cpu);
  std::vector<std::int64_t> index(120000);
  const View<std::int64_t> view(index.data(), {static_cast<std::int64_t>(index.size())});
  random_indices(stream, {.index = view, .key = {.seed = 8}, .bound = 12});
  std::vector<int> count(12);
  for (std::int64_t i : index) {
    ASSERT_TRUE(i >= 0 && i < 12) << i;
    ++count[i];
  }
  for (int c : count) EXPECT_LT(std::abs(c - 10000), 4 * std::sqrt(10000.0));

  // With 32 bits an index, a bound of 3 * 2^30 would make every third one twice as likely.
  const std::int64_t bound = std::int64_t{3} << 30;
  random_indices(stream, {.index = view, .key = {.seed = 9}, .bound = bound});
  int remainder[3] = {};
  for (std::int64_t i : index) {
    ASSERT_TRUE(i >= 0 && i < bound) << i;
    ++remainder[i % 3];
  }
  for (int c : remainder) EXPECT_LT(std::abs(c - 40000), 4 * std::sqrt(40000.0));
  // Both indices of a pair come from words of their own.
  int pairs = 0;
  for (std::size_t i = 0; i + 1 < index.size(); i += 2) pairs += index[i] == index[i + 1];
  EXPECT_EQ(pairs, 0);
}

TEST(Random, RefusesWrongArguments) {
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    std::vector<float> memory(6);
    std::vector<std::int64_t> index(6);
    const View<float> y(memory.data(), {2, 3}), nowhere(nullptr, {2, 3}), flat(memory.data(), {6});
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(normal(stream, {.y = nowhere, .key = {}}), InputError);
    EXPECT_THROW(normal(stream, {.y = flat, .key = {}}), InputError);
    EXPECT_THROW(normal(stream, {.y = y, .key = {.first_row = -1}}), InputError);
    EXPECT_THROW(normal(stream, {.y = y, .key = {}, .standard_deviation = -1}), InputError);
    EXPECT_THROW(normal(stream, {.y = y, .key = {}, .mean = kNan}), InputError);
    EXPECT_THROW(uniform(stream, {.y = nowhere, .key = {}}), InputError);
    EXPECT_THROW(uniform(stream, {.y = y, .key = {}, .low = 1, .high = 0}), InputError);
    EXPECT_THROW(uniform(stream, {.y = y, .key = {}, .low = -3e38f, .high = 3e38f}), InputError);
    EXPECT_THROW(uniform(stream, {.y = y, .key = {}, .low = kNan}), InputError);
    const View<std::int64_t> indices(index.data(), {6});
    EXPECT_THROW(random_indices(stream, {.index = indices, .key = {}, .bound = 0}), InputError);
    EXPECT_THROW(random_indices(stream, {.index = indices, .key = {}, .bound = std::int64_t{1} << 32}), InputError);
    EXPECT_THROW(random_indices(stream, {.index = {nullptr, {6}}, .key = {}, .bound = 5}), InputError);
    const std::uint64_t steps[2] = {};
    EXPECT_THROW(normal(stream, {.y = y, .key = {.step = {steps, {2}}}}), InputError);
  }
}

}  // namespace
}  // namespace otnfm
