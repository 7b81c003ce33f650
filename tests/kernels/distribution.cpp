#include "kernels/distribution.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/error.h"

namespace otnfm {
namespace {

constexpr std::int64_t kCount = 200000;
constexpr double kPi = 3.14159265358979323846;

struct Moments {
  double mean_x, mean_y, var_x, var_y, covariance;
};

std::vector<float> sample(DistributionKind kind, std::int64_t count = kCount, RandomKey key = {.seed = 20}) {
  Stream stream(Device::cpu);
  std::vector<float> y(2 * count);
  sample_distribution(stream, {.y = {y.data(), {count, 2}}, .key = key, .kind = kind});
  return y;
}

Moments moments(const std::vector<float>& y) {
  double sum[5] = {};
  const double n = static_cast<double>(y.size()) / 2;
  for (std::size_t i = 0; i < y.size(); i += 2) {
    const double a = y[i], b = y[i + 1];
    sum[0] += a, sum[1] += b, sum[2] += a * a, sum[3] += b * b, sum[4] += a * b;
  }
  const double x = sum[0] / n, z = sum[1] / n;
  return {x, z, sum[2] / n - x * x, sum[3] / n - z * z, sum[4] / n - x * z};
}

/// The seed is fixed; the tolerances are some five standard deviations of the statistic.
void expect_moments(DistributionKind kind, const Moments& want) {
  const Moments got = moments(sample(kind));
  const double scale = std::max(want.var_x, want.var_y), n = kCount;
  EXPECT_LT(std::abs(got.mean_x - want.mean_x), 5 * std::sqrt(want.var_x / n)) << name_of(kind);
  EXPECT_LT(std::abs(got.mean_y - want.mean_y), 5 * std::sqrt(want.var_y / n)) << name_of(kind);
  EXPECT_LT(std::abs(got.var_x - want.var_x), 7 * scale / std::sqrt(n)) << name_of(kind);
  EXPECT_LT(std::abs(got.var_y - want.var_y), 7 * scale / std::sqrt(n)) << name_of(kind);
  EXPECT_LT(std::abs(got.covariance - want.covariance), 5 * scale / std::sqrt(n)) << name_of(kind);
}

/// The mean of f over [0, 1) by the midpoint rule.
template <class F>
double mean_over_unit(const F& f) {
  constexpr int kPoints = 20000;
  double sum = 0;
  for (int i = 0; i < kPoints; ++i) sum += f((i + 0.5) / kPoints);
  return sum / kPoints;
}

TEST(Distribution, EightGaussians) {
  const double variance = 12.5 + std::sqrt(0.1);
  expect_moments(DistributionKind::eight_gaussians, {0, 0, variance, variance, 0});
  const std::vector<float> y = sample(DistributionKind::eight_gaussians);
  int count[8] = {};
  double square = 0;
  for (std::size_t i = 0; i < y.size(); i += 2) {
    const int k = static_cast<int>(std::lround(std::atan2(y[i + 1], y[i]) / (kPi / 4)) + 8) % 8;
    ++count[k];
    square += std::pow(y[i] - 5 * std::cos(k * kPi / 4), 2) + std::pow(y[i + 1] - 5 * std::sin(k * kPi / 4), 2);
  }
  for (int c : count) EXPECT_LT(std::abs(c - kCount / 8.0), 5 * std::sqrt(kCount / 8.0));
  EXPECT_LT(std::abs(square / kCount - 2 * std::sqrt(0.1)), 0.02);
}

TEST(Distribution, MoonsAndCrescent) {
  // Of an arc: E cos = 0, E sin = 2 / pi, Var cos = 1/2, Var sin = 1/2 - 4 / pi^2. The two moons are symmetric about
  // (1/2, 1/4).
  const double arc = 2 / kPi, var_sin = 0.5 - arc * arc, noise = 0.04;
  expect_moments(DistributionKind::crescent, {-1, 3 * arc - 1, 9 * (0.5 + noise), 9 * (var_sin + noise), 0});
  const double apart_x = 0.5, apart_y = arc - 0.25;  // half the distance of the moons' means
  expect_moments(DistributionKind::moons, {0.5, -0.25, 9 * (0.5 + apart_x * apart_x + noise),
                                           9 * (var_sin + apart_y * apart_y + noise), -9 * apart_x * apart_y});
}

TEST(Distribution, CheckerboardFillsEightSquaresEvenly) {
  const std::vector<float> y = sample(DistributionKind::checkerboard);
  int count[4][4] = {};
  for (std::size_t i = 0; i < y.size(); i += 2) {
    const int column = static_cast<int>(std::floor(y[i] * 0.45 + 2)),
              row = static_cast<int>(std::floor(y[i + 1] * 0.45 + 2));
    // A point on the edge may round over it.
    ++count[std::clamp(column, 0, 3)][std::clamp(row, 0, 3)];
  }
  for (int column = 0; column < 4; ++column)
    for (int row = 0; row < 4; ++row)
      if ((column + row) % 2 == 0)
        EXPECT_LT(std::abs(count[column][row] - kCount / 8.0), 5 * std::sqrt(kCount / 8.0)) << column << ", " << row;
      else
        EXPECT_LE(count[column][row], 2) << column << ", " << row;
}

TEST(Distribution, SwissRoll) {
  const auto t = [](double u) { return 1.5 * kPi * (1 + 2 * u); };
  const double x = mean_over_unit([&](double u) { return t(u) * std::cos(t(u)) / 5; });
  const double y = mean_over_unit([&](double u) { return t(u) * std::sin(t(u)) / 5; });
  const double xx = mean_over_unit([&](double u) { return std::pow(t(u) * std::cos(t(u)) / 5, 2); });
  const double yy = mean_over_unit([&](double u) { return std::pow(t(u) * std::sin(t(u)) / 5, 2); });
  const double xy = mean_over_unit([&](double u) { return t(u) * t(u) * std::cos(t(u)) * std::sin(t(u)) / 25; });
  expect_moments(DistributionKind::swissroll, {x, y, xx - x * x + 0.04, yy - y * y + 0.04, xy - x * y});
}

TEST(Distribution, Spirals) {
  const auto n = [](double u) { return 3 * kPi * std::sqrt(u); };
  // E of ((-n cos n + a) / 3)^2 and its like, a uniform on [0, 1/2): mean 1/4, mean square 1/12.
  const double xx = mean_over_unit([&](double u) {
    const double c = -n(u) * std::cos(n(u));
    return (c * c + c / 2 + 1.0 / 12) / 9;
  });
  const double yy = mean_over_unit([&](double u) {
    const double s = n(u) * std::sin(n(u));
    return (s * s + s / 2 + 1.0 / 12) / 9;
  });
  const double xy =
      mean_over_unit([&](double u) { return (-n(u) * std::cos(n(u)) + 0.25) * (n(u) * std::sin(n(u)) + 0.25) / 9; });
  expect_moments(DistributionKind::spirals, {0, 0, xx + 0.01, yy + 0.01, xy});
}

TEST(Distribution, Rings) {
  const double square = 9.0 / 16 * (1 + 4 + 9 + 16) / 4 / 2 + 0.0064;
  expect_moments(DistributionKind::rings, {0, 0, square, square, 0});
  const std::vector<float> y = sample(DistributionKind::rings);
  int count[4] = {};
  for (std::size_t i = 0; i < y.size(); i += 2) {
    const double radius = std::hypot(y[i], y[i + 1]) / 0.75;
    const int ring = std::clamp(static_cast<int>(std::lround(radius)), 1, 4);
    EXPECT_LT(std::abs(radius - ring) * 0.75, 0.08 * 6);
    ++count[ring - 1];
  }
  for (int c : count) EXPECT_LT(std::abs(c - kCount / 4.0), 5 * std::sqrt(kCount / 4.0));
}

TEST(Distribution, Pinwheel) {
  // Five blades at equal angles: no mean, equal variances, E r^2 = 4 (1 + 0.3^2 + 0.1^2).
  expect_moments(DistributionKind::pinwheel, {0, 0, 2.2, 2.2, 0});
  // Turned back by its own angle, a point lies on one of five axes.
  const std::vector<float> y = sample(DistributionKind::pinwheel);
  int count[5] = {};
  for (std::size_t i = 0; i < y.size(); i += 2) {
    const double radius = std::hypot(y[i], y[i + 1]) / 2;  // about f0
    const double angle = -std::atan2(y[i + 1], y[i]) - 0.25 * std::exp(radius);
    ++count[((std::lround(angle / (2 * kPi / 5)) % 5) + 5) % 5];
  }
  for (int c : count) EXPECT_LT(std::abs(c - kCount / 5.0), 0.05 * kCount / 5.0);
}

TEST(Distribution, GridOf25Gaussians) {
  // (-4, -2, 0, 2, 4) has mean 0 and mean square 8.
  const double variance = 8 + 0.05 * 0.05;
  expect_moments(DistributionKind::grid_of_25_gaussians, {0, 0, variance, variance, 0});
  const std::vector<float> y = sample(DistributionKind::grid_of_25_gaussians);
  int count[5][5] = {};
  double square = 0;
  for (std::size_t i = 0; i < y.size(); i += 2) {
    const std::int64_t column = std::lround(y[i] / 2), row = std::lround(y[i + 1] / 2);
    ASSERT_LE(std::max(std::abs(column), std::abs(row)), 2);
    ++count[column + 2][row + 2];
    square += std::pow(y[i] - 2.0 * column, 2) + std::pow(y[i + 1] - 2.0 * row, 2);
  }
  for (const auto& column : count)
    for (const int c : column) EXPECT_LT(std::abs(c - kCount / 25.0), 5 * std::sqrt(kCount / 25.0));
  // Of a mean of squares of 2 kCount normal numbers: the deviation is its root of 2 / (2 kCount).
  EXPECT_LT(std::abs(square / kCount / (2 * 0.05 * 0.05) - 1), 5 / std::sqrt(kCount));
}

TEST(Distribution, PointsDoNotDependOnTheBatchTheyAreDrawnIn) {
  for (std::size_t k = 0; k < distribution_names().size(); ++k) {
    const auto kind = static_cast<DistributionKind>(k);
    std::vector<float> parts = sample(kind, 37, {.seed = 4, .first_row = 100});
    const std::vector<float> rest = sample(kind, 63, {.seed = 4, .first_row = 137});
    parts.insert(parts.end(), rest.begin(), rest.end());
    EXPECT_EQ(parts, sample(kind, 100, {.seed = 4, .first_row = 100}));
  }
}

TEST(Distribution, NamesAreInTheOrderOfTheKinds) {
  EXPECT_EQ(name_of(DistributionKind::eight_gaussians), "8gaussians");
  EXPECT_EQ(name_of(DistributionKind::crescent), "crescent");
  for (std::size_t k = 0; k < distribution_names().size(); ++k)
    EXPECT_EQ(name_of(static_cast<DistributionKind>(k)), distribution_names()[k]);
}

TEST(Distribution, RefusesWrongArguments) {
  Stream stream(Device::cpu);
  float memory[6];
  const DistributionKind moons = DistributionKind::moons;
  EXPECT_THROW(sample_distribution(stream, {.y = {memory, {2, 3}}, .key = {}, .kind = moons}), InputError);
  EXPECT_THROW(sample_distribution(stream, {.y = {memory, {6}}, .key = {}, .kind = moons}), InputError);
  EXPECT_THROW(sample_distribution(stream, {.y = {nullptr, {3, 2}}, .key = {}, .kind = moons}), InputError);
  EXPECT_THROW(sample_distribution(stream, {.y = {memory, {3, 2}}, .key = {.first_row = -1}, .kind = moons}),
               InputError);
  const auto none = static_cast<DistributionKind>(distribution_names().size());
  EXPECT_THROW(sample_distribution(stream, {.y = {memory, {3, 2}}, .key = {}, .kind = none}), InputError);
}

}  // namespace
}  // namespace otnfm
