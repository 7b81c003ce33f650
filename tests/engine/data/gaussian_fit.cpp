#include "engine/data/gaussian_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "engine/data/source.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"

namespace otnfm {
namespace {

struct Moments {
  std::vector<double> mean, covariance;  // [d], [d, d]
};

Moments moments_of(View<const float> x) {
  const std::int64_t n = x.rows(), d = x.columns();
  Moments m{std::vector<double>(static_cast<std::size_t>(d)), std::vector<double>(static_cast<std::size_t>(d * d))};
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j) m.mean[static_cast<std::size_t>(j)] += x(i, j) / static_cast<double>(n);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j)
      for (std::int64_t k = 0; k < d; ++k)
        m.covariance[static_cast<std::size_t>(j * d + k)] += (x(i, j) - m.mean[static_cast<std::size_t>(j)]) *
                                                             (x(i, k) - m.mean[static_cast<std::size_t>(k)]) /
                                                             static_cast<double>(n);
  return m;
}

// mean + sum over `rank` directions of growing size, plus a little of everything; coordinate 0 never varies.
std::vector<float> correlated(std::int64_t n, std::int64_t d, std::int64_t rank, double noise, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> direction(static_cast<std::size_t>(rank * d));
  for (double& value : direction) value = normal(random);
  std::vector<float> x(static_cast<std::size_t>(n * d));
  for (std::int64_t i = 0; i < n; ++i) {
    std::vector<double> row(static_cast<std::size_t>(d));
    for (std::int64_t r = 0; r < rank; ++r) {
      const double z = normal(random) * static_cast<double>(r + 1) / static_cast<double>(rank);
      for (std::int64_t j = 0; j < d; ++j)
        row[static_cast<std::size_t>(j)] += z * direction[static_cast<std::size_t>(r * d + j)];
    }
    for (std::int64_t j = 0; j < d; ++j)
      x[static_cast<std::size_t>(i * d + j)] =
          static_cast<float>(j == 0 ? 5.0 : 3.0 + row[static_cast<std::size_t>(j)] + noise * normal(random));
  }
  return x;
}

// What the parameters say the covariance is.
std::vector<double> covariance_of(const GaussianParameters& fit) {
  const std::int64_t d = fit.dimension();
  std::vector<double> covariance(static_cast<std::size_t>(d * d));
  for (std::int64_t r = 0; r < fit.rank(); ++r)
    for (std::int64_t j = 0; j < d; ++j)
      for (std::int64_t k = 0; k < d; ++k)
        covariance[static_cast<std::size_t>(j * d + k)] +=
            static_cast<double>(fit.factor[static_cast<std::size_t>(r * d + j)]) *
            fit.factor[static_cast<std::size_t>(r * d + k)];
  for (std::size_t j = 0; j < fit.diagonal.size(); ++j)
    covariance[j * static_cast<std::size_t>(d) + j] += static_cast<double>(fit.diagonal[j]) * fit.diagonal[j];
  return covariance;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    if (!(std::abs(got[i] - want[i]) <= worst)) worst = std::abs(got[i] - want[i]);
  EXPECT_TRUE(worst <= tolerance) << "off by " << worst << ", allowed " << tolerance;
}

std::vector<double> doubles(const std::vector<float>& x) {
  return {x.begin(), x.end()};
}

TEST(FitGaussian, HasTheDataMoments) {
  for (std::int64_t d : {1, 2, 31, 33}) {
    const std::vector<float> x = correlated(3001, d, std::min<std::int64_t>(d, 8), 0.3, 7);
    const View<const float> rows(x.data(), {3001, d});
    const GaussianParameters fit = fit_gaussian(rows);
    const Moments want = moments_of(rows);
    EXPECT_TRUE(fit.diagonal.empty());
    EXPECT_LE(fit.rank(), d - 1);  // coordinate 0 is constant
    expect_near(doubles(fit.mean), want.mean, 1e-6);
    expect_near(covariance_of(fit), want.covariance, 1e-5);
  }
}

TEST(FitGaussian, KeepsTheLargestDirectionsAndEveryVariance) {
  const std::int64_t n = 2500, d = 90;
  const std::vector<float> x = correlated(n, d, 6, 0.1, 9);
  const View<const float> rows(x.data(), {n, d});
  const GaussianParameters fit = fit_gaussian(rows, {.max_full_dimension = 64, .rank = 6});
  const Moments want = moments_of(rows);
  EXPECT_EQ(fit.rank(), 6);
  ASSERT_EQ(fit.diagonal.size(), static_cast<std::size_t>(d));
  expect_near(doubles(fit.mean), want.mean, 1e-6);
  const std::vector<double> got = covariance_of(fit);
  double diagonal_error = 0, error = 0, size = 0;
  for (std::int64_t j = 0; j < d; ++j)
    for (std::int64_t k = 0; k < d; ++k) {
      const double difference =
          got[static_cast<std::size_t>(j * d + k)] - want.covariance[static_cast<std::size_t>(j * d + k)];
      if (j == k) diagonal_error = std::max(diagonal_error, std::abs(difference));
      error += difference * difference;
      size += std::pow(want.covariance[static_cast<std::size_t>(j * d + k)], 2);
    }
  EXPECT_LE(diagonal_error, 1e-5);
  EXPECT_LE(std::sqrt(error / size), 2e-3);  // what is left out is the noise, sampled: 0.01 / sqrt(n) an entry
  EXPECT_EQ(fit.diagonal[0], 0.0f);
  EXPECT_EQ(fit.factor, fit_gaussian(rows, {.max_full_dimension = 64, .rank = 6}).factor);
}

TEST(FitGaussian, OfOneRowIsThatRow) {
  const std::vector<float> row = {1, -2, 3};
  const Source source = Source::gaussian_fit(fit_gaussian({row.data(), {1, 3}}));
  std::vector<float> out(6, std::nanf(""));
  source.draw({.seed = 4}, {out.data(), {2, 3}});
  EXPECT_EQ(out, (std::vector<float>{1, -2, 3, 1, -2, 3}));
  EXPECT_THROW(fit_gaussian({row.data(), {0, 3}}), InputError);
  EXPECT_THROW(fit_gaussian({row.data(), {3, 0}}), InputError);
}

TEST(GaussianFit, DrawsHaveTheMomentsOfTheParameters) {
  const std::int64_t d = 5, n = 200000;
  const std::vector<float> x = correlated(1000, d, 3, 0.5, 21);
  for (const GaussianFitOptions& options : {GaussianFitOptions{}, {.max_full_dimension = 1, .rank = 2}}) {
    const GaussianFit fit(fit_gaussian({x.data(), {1000, d}}, options));
    std::vector<float> out(static_cast<std::size_t>(n * d), std::nanf(""));
    fit.draw({.seed = 77}, {out.data(), {n, d}});
    const Moments got = moments_of({out.data(), {n, d}});
    const std::vector<double> covariance = covariance_of(fit.parameters());
    for (std::int64_t j = 0; j < d; ++j) {
      const double variance = covariance[static_cast<std::size_t>(j * d + j)];
      const double mean = fit.parameters().mean[static_cast<std::size_t>(j)];
      EXPECT_TRUE(std::abs(got.mean[static_cast<std::size_t>(j)] - mean) <=
                  5 * std::sqrt(variance / static_cast<double>(n)) + 1e-9 * std::abs(mean));
      for (std::int64_t k = 0; k < d; ++k) {
        const double entry = covariance[static_cast<std::size_t>(j * d + k)];
        const double deviation = std::sqrt(
            (variance * covariance[static_cast<std::size_t>(k * d + k)] + entry * entry) / static_cast<double>(n));
        EXPECT_TRUE(std::abs(got.covariance[static_cast<std::size_t>(j * d + k)] - entry) <= 5 * deviation + 1e-9)
            << j << ", " << k;
      }
    }
  }
}

TEST(GaussianFit, RefusesParametersThatDoNotFit) {
  EXPECT_THROW(GaussianFit({}), InputError);
  EXPECT_THROW(GaussianFit({.mean = {1, 2}, .factor = {1, 2, 3}, .diagonal = {}}), InputError);
  EXPECT_THROW(GaussianFit({.mean = {1, 2}, .factor = {1, 2}, .diagonal = {1}}), InputError);
  EXPECT_THROW(GaussianFit({.mean = {1, 2}, .factor = {1, std::nanf("")}, .diagonal = {}}), InputError);
}

void expect_split_invariant(const Source& source) {
  SCOPED_TRACE(source.name());
  const std::int64_t n = 301, d = source.dimension();
  const DrawKey key{.seed = 5, .stream = 6, .step = 7, .first_row = 3};
  std::vector<float> whole(static_cast<std::size_t>(n * d), std::nanf("")), parts = whole, picked = whole;
  source.draw(key, {whole.data(), {n, d}});
  for (float value : whole) ASSERT_TRUE(std::isfinite(value));
  for (std::int64_t begin = 0, size = 1; begin < n; begin += size, size += 5) {
    const std::int64_t count = std::min(size, n - begin);
    source.draw(key.at_row(begin), {parts.data() + begin * d, {count, d}});
  }
  EXPECT_EQ(whole, parts);
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < n; ++i) rows.push_back(i * 7 % n);
  source.draw_rows(key, {rows.data(), {n}}, {picked.data(), {n, d}});
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < d; ++j)
      ASSERT_EQ(picked[static_cast<std::size_t>(i * d + j)],
                whole[static_cast<std::size_t>(rows[static_cast<std::size_t>(i)] * d + j)]);
  source.draw({.seed = 5, .stream = 6, .step = 8, .first_row = 3}, {parts.data(), {n, d}});
  EXPECT_NE(whole, parts);
}

TEST(Source, RowsDependOnTheKeyAndTheirNumberAlone) {
  const std::vector<float> x = correlated(200, 67, 67, 0.2, 3);
  const View<const float> rows(x.data(), {200, 67});
  expect_split_invariant(Source::gaussian(67));
  expect_split_invariant(Source::gaussian_fit(fit_gaussian(rows)));
  expect_split_invariant(Source::gaussian_fit(fit_gaussian(rows, {.max_full_dimension = 10, .rank = 13})));
  expect_split_invariant(Source::dataset(Dataset::points("some", x, 67)));
}

TEST(Source, DrawsDoNotDependOnTheNumberOfThreads) {
  const std::vector<float> x = correlated(200, 130, 130, 0.2, 3);
  const Source source = Source::gaussian_fit(fit_gaussian({x.data(), {200, 130}}));
  std::vector<float> first(300 * 130), again = first;
  {
    const host::OneThread one_thread;
    source.draw({.seed = 1}, {first.data(), {300, 130}});
  }
  for (int threads : {2, 3, 7}) {
    const host::ThreadLimit limit(threads);
    source.draw({.seed = 1}, {again.data(), {300, 130}});
    EXPECT_EQ(first, again) << threads << " threads";
  }
}

TEST(Source, IsOpenedForItsTarget) {
  const Dataset moons = open_dataset("moons");
  const Source gaussian = open_source(NamedSource("gaussian"), Dataset::gaussian(9));
  EXPECT_EQ(gaussian.name(), "gaussian");
  EXPECT_EQ(gaussian.dimension(), 9);
  EXPECT_EQ(gaussian.parameters(), nullptr);
  ASSERT_NE(gaussian.data(), nullptr);
  EXPECT_TRUE(gaussian.data()->endless());

  const Source rings = open_source(NamedSource("rings"), moons);
  EXPECT_EQ(rings.name(), "rings");
  std::vector<float> a(20), b(20);
  rings.draw({.seed = 2}, {a.data(), {10, 2}});
  open_dataset("rings").draw({.seed = 2}, {b.data(), {10, 2}});
  EXPECT_EQ(a, b);
  EXPECT_THROW(open_source(NamedSource("rings"), Dataset::gaussian(3)), InputError);
  EXPECT_THROW(open_source(NamedSource("gausian"), moons), InputError);

  const Source fit = open_source(NamedSource("gaussian-fit"), moons);
  EXPECT_EQ(fit.name(), "gaussian-fit");
  EXPECT_EQ(fit.data(), nullptr);
  ASSERT_NE(fit.parameters(), nullptr);
  std::vector<float> draws(200000);
  moons.draw({.seed = 99}, {draws.data(), {100000, 2}});
  const Moments want = moments_of({draws.data(), {100000, 2}});
  const std::vector<double> covariance = covariance_of(*fit.parameters());
  for (std::size_t j = 0; j < 2; ++j)
    EXPECT_NEAR(fit.parameters()->mean[j], want.mean[j], 5 * std::sqrt(want.covariance[3 * j] * (1 / 65536.0 + 1e-5)));
  for (std::size_t j = 0; j < 4; ++j) EXPECT_NEAR(covariance[j], want.covariance[j], 0.05 * want.covariance[0]);

  // What a model file keeps gives the same source back, bit for bit.
  const Source again = Source::gaussian_fit(*fit.parameters());
  fit.draw({.seed = 2}, {a.data(), {10, 2}});
  again.draw({.seed = 2}, {b.data(), {10, 2}});
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace otnfm
