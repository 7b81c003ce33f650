// Densities against the formula written out, and the deviation of true and of false draws.
#include "engine/data/gaussian_density.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "kernels/error.h"

namespace otnfm {
namespace {

TEST(GaussianDensity, IsTheFormula) {
  // C = [[4 + 0.25, 2], [2, 1 + 1]] from one factor and a diagonal; its determinant is 4.5.
  const GaussianDensity density(Source::gaussian_fit({.mean = {1, -1}, .factor = {2, 1}, .diagonal = {0.5f, 1}}));
  const float x[] = {1, -1, 3, 0.5f};
  const std::vector<double> got = density.log_density({x, {2, 2}});
  const double constant = -std::log(2 * std::numbers::pi) - 0.5 * std::log(4.5);
  EXPECT_NEAR(got[0], constant, 1e-9);
  const double a = 2, b = 1.5;  // (a, b) C^-1 (a, b)^T
  EXPECT_NEAR(got[1], constant - 0.5 * (2 * a * a - 2 * 2 * a * b + 4.25 * b * b) / 4.5, 1e-9);
  EXPECT_TRUE(density.log_density({nullptr, {0, 2}}).empty());
  EXPECT_THROW(density.log_density({x, {1, 4}}), InputError);
}

TEST(GaussianDensity, TellsDrawsFromOthers) {
  std::mt19937_64 random(std::random_device{}());
  const std::int64_t n = 4000, d = 5;
  std::vector<float> values(n * d);
  const View<float> x(values.data(), {n, d});
  std::vector<float> rows(300 * d);
  std::normal_distribution<float> normal;
  for (float& value : rows) value = normal(random) + 0.5f * (&value == rows.data() ? 0.0f : (&value)[-1]);
  for (const Source& source : {Source::gaussian(d), Source::gaussian_fit(fit_gaussian({rows.data(), {300, d}}))}) {
    const GaussianDensity density(source);
    source.draw({.seed = random()}, x);
    const GaussianDensity::Deviation of_draws = density.deviation(x);
    // Both are root mean squares over 5 and 15 numbers: five times the average has a chance below 1e-20.
    EXPECT_TRUE(of_draws.mean <= 5 * of_draws.expected_mean);
    EXPECT_TRUE(of_draws.covariance <= 5 * of_draws.expected_covariance);
    for (float& value : values) value *= 1.5f;
    EXPECT_GT(density.deviation(x).covariance, 10 * of_draws.expected_covariance);
  }
  EXPECT_THROW(GaussianDensity(Source::gaussian(2)).deviation({values.data(), {1, 2}}), InputError);
}

TEST(GaussianDensity, RefusesOtherSources) {
  EXPECT_THROW(GaussianDensity(Source::dataset(open_dataset("moons"))), InputError);
  EXPECT_THROW(GaussianDensity(Source::gaussian_fit({.mean = {0, 0}, .factor = {1, 1}, .diagonal = {}})), InputError);
  EXPECT_FALSE(GaussianDensity::is_gaussian(Source::dataset(open_dataset("moons"))));
  EXPECT_TRUE(GaussianDensity::is_gaussian(Source::gaussian(3)));
}

}  // namespace
}  // namespace otnfm
