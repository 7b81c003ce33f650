// Semidiscrete transport against what is known in closed form, and against a count of its own: where the cells' borders
// are, that fresh draws fall evenly, that the dual rises.
#include "ot/semidiscrete.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "kernels/error.h"

namespace otnfm {
namespace {

std::uint64_t fresh_seed() {
  static std::random_device device;
  return device();
}

template <class Distribution>
DrawSource source_of(std::uint64_t seed, Distribution distribution) {
  return [=](std::uint64_t batch, View<float> out) mutable {
    std::mt19937_64 random(seed + 0x9e3779b97f4a7c15u * (batch + 1));
    distribution.reset();
    for (std::int64_t k = 0; k < out.size(); ++k) out.data[k] = static_cast<float>(distribution(random));
  };
}

DrawSource uniform_source(std::uint64_t seed) {
  return source_of(seed, std::uniform_real_distribution<double>(0, 1));
}
DrawSource normal_source(std::uint64_t seed) {
  return source_of(seed, std::normal_distribution<double>());
}

View<const float> matrix(const std::vector<float>& values, std::int64_t d) {
  return {values.data(), {static_cast<std::int64_t>(values.size()) / d, d}};
}

/// Brute force, in double: how many of `draws` fresh x go to each point, and the dual objective of g.
struct Count {
  std::vector<std::int64_t> of;
  double dual = 0, cost = 0;
};
Count count(const std::vector<float>& points, std::int64_t d, const std::vector<float>& g, const DrawSource& draw,
            std::int64_t draws) {
  std::vector<float> x(static_cast<std::size_t>(draws * d));
  draw(1u << 30, {x.data(), {draws, d}});
  Count result{.of = std::vector<std::int64_t>(g.size(), 0)};
  for (std::int64_t i = 0; i < draws; ++i) {
    double best = std::numeric_limits<double>::infinity(), distance = 0;
    std::size_t at = 0;
    for (std::size_t j = 0; j < g.size(); ++j) {
      double squared = 0;
      for (std::int64_t k = 0; k < d; ++k)
        squared += std::pow(static_cast<double>(x[i * d + k]) - points[j * d + k], 2);
      if (squared - g[j] < best) best = squared - g[j], at = j, distance = squared;
    }
    ++result.of[at];
    result.dual += best / static_cast<double>(draws);
    result.cost += distance / static_cast<double>(draws);
  }
  for (float value : g) result.dual += static_cast<double>(value) / static_cast<double>(g.size());
  return result;
}

TEST(Semidiscrete, CutsTheUnitIntervalIntoEqualParts) {
  for (std::int64_t n : {2, 3, 7, 31, 300}) {
    const std::uint64_t seed = fresh_seed();
    SCOPED_TRACE("seed " + std::to_string(seed) + ", n " + std::to_string(n));
    std::mt19937_64 random(seed);
    std::vector<float> points(static_cast<std::size_t>(n));
    // In rising order, and apart: the border between two points that nearly coincide moves far for a potential's last
    // place, at next to no cost.
    for (std::int64_t j = 0; j < n; ++j)
      points[j] = -1 + 3 * (static_cast<float>(j) + std::uniform_real_distribution<float>(0.2f, 0.8f)(random)) /
                           static_cast<float>(n);
    const Semidiscrete result = solve_semidiscrete(matrix(points, 1), uniform_source(seed), {.chi_squared = 0});
    EXPECT_EQ(result.status, SolveStatus::converged);
    ASSERT_EQ(result.potentials.size(), points.size());
    // Cell j is [j / n, (j + 1) / n]: on its upper border points j and j + 1 are equally good.
    double mean = 0, worst = 0;
    for (std::int64_t j = 0; j + 1 < n; ++j) {
      const double apart = static_cast<double>(points[j + 1]) - points[j];
      const double border = (static_cast<double>(points[j + 1]) + points[j]) / 2 +
                            (static_cast<double>(result.potentials[j]) - result.potentials[j + 1]) / (2 * apart);
      worst = std::max(worst, std::abs(border * static_cast<double>(n) - static_cast<double>(j + 1)));
      mean += result.potentials[j];
    }
    mean += result.potentials.back();
    // Where there are many, errors that many neighbours share are the last to go: 2% of the interval.
    EXPECT_TRUE(worst <= std::max(0.2, 0.02 * static_cast<double>(n)))
        << "a border is this part of a cell off: " << worst;
    EXPECT_TRUE(std::abs(mean) <= 1e-4 * static_cast<double>(n)) << mean;
    // The cost, and so the dual, is the sum of the integrals of (x - y_j)^2 over the cells.
    double cost = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      const double a = static_cast<double>(j) / static_cast<double>(n) - points[j],
                   b = static_cast<double>(j + 1) / static_cast<double>(n) - points[j];
      cost += (b * b * b - a * a * a) / 3;
    }
    EXPECT_TRUE(std::abs(result.dual - cost) <= 0.03 * (cost + 0.1)) << result.dual << " " << cost;
    EXPECT_TRUE(std::abs(result.chi_squared) <= 0.02) << result.chi_squared;
  }
}

TEST(Semidiscrete, TwoPointsShareANormalDistributionAtItsMiddle) {
  for (std::int64_t d : {1, 2, 5, 9, 20}) {
    const std::uint64_t seed = fresh_seed();
    SCOPED_TRACE("seed " + std::to_string(seed) + ", d " + std::to_string(d));
    std::vector<float> points(static_cast<std::size_t>(2 * d), 0.0f);
    points[0] = 1;
    points[d] = -3;
    // The border is x_0 = 0, where (0 - 1)^2 - g_0 = (0 + 3)^2 - g_1.
    SemidiscreteOptions options{.chi_squared = 0};
    if (d > 8) options.stages = {{.first_rate = 0.5, .last_rate = 0.01, .steps = 200, .batch = 2048}};
    const Semidiscrete result = solve_semidiscrete(matrix(points, d), normal_source(seed), options);
    EXPECT_TRUE(std::abs(result.potentials[0] + 4) <= 0.1) << result.potentials[0];
    EXPECT_TRUE(std::abs(result.potentials[1] - 4) <= 0.1) << result.potentials[1];
  }
}

TEST(Semidiscrete, FreshDrawsFallEvenlyAndTheDualRises) {
  for (std::int64_t d : {2, 12, 24}) {
    const std::uint64_t seed = fresh_seed();
    SCOPED_TRACE("seed " + std::to_string(seed) + ", d " + std::to_string(d));
    const std::int64_t n = 257, draws = 20000;
    std::mt19937_64 random(seed);
    // Two clusters, none of them at the middle: without potentials a few points get nearly everything.
    std::vector<float> points(static_cast<std::size_t>(n * d));
    std::normal_distribution<float> normal(0, 0.7f);
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t k = 0; k < d; ++k) points[j * d + k] = normal(random) + (j % 3 == 0 ? -2.0f : 1.5f);
    SemidiscreteOptions options{.chi_squared = 0};
    if (d > 8) options.stages = {{.first_rate = 0.2, .last_rate = 0.002, .steps = 600, .batch = 2048}};
    const Semidiscrete result = solve_semidiscrete(matrix(points, d), normal_source(seed), options);
    const Count before = count(points, d, std::vector<float>(static_cast<std::size_t>(n), 0.0f),
                               normal_source(seed + 1), draws),
                after = count(points, d, result.potentials, normal_source(seed + 1), draws);
    double pairs = 0;
    for (std::int64_t c : after.of) pairs += static_cast<double>(c) * static_cast<double>(c - 1);
    const double chi_squared = static_cast<double>(n) * pairs / (static_cast<double>(draws) * (draws - 1.0)) - 1;
    EXPECT_TRUE(chi_squared <= 0.05) << chi_squared;
    EXPECT_TRUE(std::abs(chi_squared - result.chi_squared) <= 0.03) << chi_squared << " " << result.chi_squared;
    EXPECT_GT(after.dual, before.dual + 0.1);
    // Of even shares the dual is the cost of the pairs; the shares of these draws are even up to their own chance, by
    // which the mean potential of a draw has this standard error.
    double mean = 0, square = 0;
    for (float g : result.potentials) {
      mean += g / static_cast<double>(n);
      square += static_cast<double>(g) * g / static_cast<double>(n);
    }
    const double chance = std::sqrt((square - mean * mean) / static_cast<double>(draws));
    EXPECT_TRUE(std::abs(after.dual - after.cost) <= 0.02 * after.cost + 5 * chance)
        << after.dual << " " << after.cost << " " << chance;
    EXPECT_TRUE(std::abs(after.dual - result.dual) <= 0.02 * after.dual) << after.dual << " " << result.dual;
  }
}

TEST(Semidiscrete, StopsAtACapAndSaysSo) {
  std::vector<float> points(40);
  std::iota(points.begin(), points.end(), 0.0F);
  Semidiscrete result = solve_semidiscrete(matrix(points, 2), normal_source(1), {.chi_squared = 0, .max_steps = 3});
  EXPECT_EQ(result.steps, 3);
  EXPECT_EQ(result.status, SolveStatus::iteration_limit);
  EXPECT_EQ(result.potentials.size(), 20u);
  result = solve_semidiscrete(matrix(points, 2), normal_source(1), {.max_seconds = 0});
  EXPECT_EQ(result.steps, 0);
  EXPECT_EQ(result.status, SolveStatus::iteration_limit);
  result = solve_semidiscrete(matrix(points, 2), normal_source(1), {.chi_squared = 1e9});
  EXPECT_EQ(result.steps, 50) << "the first look at chi^2 is after 50 steps";
  EXPECT_EQ(result.status, SolveStatus::converged);
}

TEST(Semidiscrete, IsTheSameForTheSameDrawsAndReportsItsProgress) {
  std::vector<float> points(2 * 700);
  std::mt19937_64 random(5);
  for (float& value : points) value = std::normal_distribution<float>()(random);
  std::vector<std::int64_t> sizes;
  const SemidiscreteOptions options{
      .stages = {{.steps = 60, .batch = 1000}, {.first_rate = 0.1, .steps = 70, .batch = 500}},
      .chi_squared = 0,
      .watch = [&](const SemidiscreteProgress& p) {
        sizes.push_back(p.points);
        return true;
      }};
  const Semidiscrete first = solve_semidiscrete(matrix(points, 2), normal_source(3), options),
                     second = solve_semidiscrete(matrix(points, 2), normal_source(3), options);
  EXPECT_EQ(first.potentials, second.potentials);
  EXPECT_EQ(first.steps, 400 + 200 + 200 + 60 + 70);
  // Coarse levels of 11, 44 and 175 points, a look every 50 steps; then both stages: after 50, 60 and after 50, 70.
  std::vector<std::int64_t> wanted;
  for (int run = 0; run < 2; ++run) {
    wanted.insert(wanted.end(), 8, 11);
    wanted.insert(wanted.end(), 4, 44);
    wanted.insert(wanted.end(), 4, 175);
    wanted.insert(wanted.end(), 4, 700);
  }
  EXPECT_EQ(sizes, wanted);
}

TEST(Semidiscrete, OnePointGetsEverything) {
  const std::vector<float> point = {3, 4};
  const Semidiscrete result = solve_semidiscrete(matrix(point, 2), normal_source(1));
  EXPECT_EQ(result.potentials, std::vector<float>{0});
  EXPECT_NEAR(result.dual, 27, 0.5);
}

TEST(Semidiscrete, RefusesWhatItCannotTake) {
  const std::vector<float> none, one = {1, 2}, nan = {1, std::nanf("")};
  EXPECT_THROW(solve_semidiscrete(matrix(none, 2), normal_source(1)), InputError);
  EXPECT_THROW(solve_semidiscrete(matrix(nan, 2), normal_source(1)), InputError);
  const std::vector<float> huge = {0, 0, 0, -1e19F};
  try {
    solve_semidiscrete(matrix(huge, 2), normal_source(1));
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("-1e+19 at [1, 1]"), std::string::npos) << error.what();
  }
  EXPECT_THROW(solve_semidiscrete(matrix(one, 2), normal_source(1), {.stages = {{.steps = 0}}}), InputError);
  EXPECT_THROW(solve_semidiscrete(matrix(one, 2), normal_source(1), {.stages = {{.last_rate = 0}}}), InputError);
  const DrawSource broken = [](std::uint64_t, View<float> out) { std::fill_n(out.data, out.size(), std::nanf("")); };
  EXPECT_THROW(solve_semidiscrete(matrix(one, 2), broken), InputError);
}

}  // namespace
}  // namespace otnfm
