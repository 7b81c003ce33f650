// The certificate on answers that are wrong on purpose: it must show their true gap, and bound from below whatever it
// is given.
#include "ot/certificate.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "ot/entropic/plan_certificate.h"
#include "ot/exact.h"
#include "ot/sinkhorn.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

TEST(Certificate, WrongAssignmentShowsItsTrueGap) {
  Random random(std::random_device{}());
  for (const std::int64_t d : {1, 2, 3, 40}) {
    const std::int64_t n = 75;
    const Matrix<float> x = gaussian<float>(random, n, d), y = gaussian<float>(random, n, d);
    const Problem problem = Problem::from_points(x.view(), y.view());
    const Matrix<double> c = cost_matrix(x, y, Cost::squared_euclidean);
    Assignment result = solve_exact(problem);
    std::swap(result.sigma[3], result.sigma[70]);
    const double optimum = reference_total(c) / n, wrong = total_of(c, result.sigma) / n;
    const Certificate certificate = certify(problem, result.sigma, result.g);
    EXPECT_TRUE(certificate.is_permutation);
    EXPECT_TRUE(std::fabs(certificate.primal_cost - wrong) <= 1e-12 * wrong);
    EXPECT_TRUE(std::fabs(certificate.gap - (wrong - optimum) / wrong) <= 1e-12) << certificate.gap;
  }
}

TEST(Certificate, CorruptedPotentialsStillBound) {
  Random random(std::random_device{}());
  std::normal_distribution<double> normal;
  for (const auto& [n, m] : {std::pair{60, 60}, {40, 60}, {60, 40}, {1, 1}, {33, 31}})
    for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
      const Matrix<double> x = gaussian<double>(random, n, 2), y = gaussian<double>(random, m, 2);
      const Problem problem = Problem::from_points(x.view(), y.view(), cost);
      const double optimum = reference_total(cost_matrix(x, y, cost)) / std::min(n, m);
      Assignment result = solve_exact(problem);
      for (const double noise : {0.0, 1e-3, 1.0, 1e6}) {
        std::vector<double> g = result.g;
        for (double& value : g) value += noise * normal(random);
        const Certificate certificate = certify(problem, result.sigma, g);
        EXPECT_TRUE(certificate.dual_bound <= optimum + 1e-12 * (std::fabs(optimum) + noise));
        EXPECT_TRUE(certificate.gap >= -1e-9);
      }
      result.g[0] = std::numeric_limits<double>::quiet_NaN();
      EXPECT_TRUE(certify(problem, result.sigma, result.g).dual_bound <= optimum + 1e-12 * std::fabs(optimum));
    }
}

TEST(Certificate, NotOneToOneIsSeen) {
  Random random(1);
  const Matrix<double> c = gaussian<double>(random, 5, 5);
  const Problem problem = Problem::from_matrix(c.view());
  const std::vector<double> g(5, 0.0);
  for (const std::vector<std::int64_t>& sigma :
       {std::vector<std::int64_t>{0, 1, 2, 3, 3}, {0, 1, 2, 3, -1}, {0, 1, 2, 3, 5}, {0, 1, 2, 3, -2}}) {
    const Certificate certificate = certify(problem, sigma, g);
    EXPECT_FALSE(certificate.is_permutation);
    EXPECT_TRUE(std::isinf(certificate.gap));
  }
  EXPECT_TRUE(certify(problem, std::vector<std::int64_t>{4, 2, 0, 1, 3}, g).is_permutation);
  EXPECT_THROW(certify(problem, std::vector<std::int64_t>{0, 1, 2}, g), InputError);
  EXPECT_THROW(certify(problem, std::vector<std::int64_t>{0, 1, 2, 3, 4}, std::vector<double>(4)), InputError);
}

// The blocks of the pass: sizes about its tiles of 128 rows and 32 columns, every element type, against a plain loop.
TEST(Certificate, BoundEqualsAPlainLoop) {
  Random random(std::random_device{}());
  const auto check = [&](const Problem& problem, const Matrix<double>& c, double tolerance) {
    std::vector<std::int64_t> sigma(static_cast<std::size_t>(c.rows));
    std::iota(sigma.begin(), sigma.end(), 0);
    std::vector<double> g(static_cast<std::size_t>(c.columns));
    for (double& value : g) value = std::uniform_real_distribution<double>(-1, 1)(random);
    double primal = 0, dual = 0;
    for (std::int64_t i = 0; i < c.rows; ++i) {
      primal += c(i, i);
      double least = std::numeric_limits<double>::infinity();
      for (std::int64_t j = 0; j < c.columns; ++j) least = std::min(least, c(i, j) - g[static_cast<std::size_t>(j)]);
      dual += least + g[static_cast<std::size_t>(i)];
    }
    if (!problem.has_matrix && problem.cost != Cost::negative_dot) dual = std::max(dual, 0.0);  // distances are above
    const Certificate certificate = certify(problem, sigma, g);
    EXPECT_TRUE(std::fabs(certificate.primal_cost - primal / static_cast<double>(c.rows)) <= tolerance);
    EXPECT_TRUE(std::fabs(certificate.dual_bound - dual / static_cast<double>(c.rows)) <= tolerance);
  };
  for (const std::int64_t n : {1, 31, 32, 33, 65, 127, 128, 129, 131})
    for (const std::int64_t d : {1, 2, 7})
      for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
        const Matrix<double> x = gaussian<double>(random, n, d), y = gaussian<double>(random, n, d);
        check(Problem::from_points(x.view(), y.view(), cost), cost_matrix(x, y, cost), 1e-12);
        const Matrix<double> c = cost_matrix(x, y, cost);
        check(Problem::from_matrix(c.view()), c, 1e-12);
        Matrix<bfloat16> short_x(n, d), short_y(n, d);
        Matrix<double> wide_x(n, d), wide_y(n, d);
        for (std::size_t k = 0; k < x.values.size(); ++k) {
          short_x.values[k] = bfloat16(static_cast<float>(x.values[k]));
          short_y.values[k] = bfloat16(static_cast<float>(y.values[k]));
          wide_x.values[k] = static_cast<float>(short_x.values[k]);
          wide_y.values[k] = static_cast<float>(short_y.values[k]);
        }
        check(Problem::from_points(short_x.view(), short_y.view(), cost), cost_matrix(wide_x, wide_y, cost), 1e-12);
      }
}

// Relative to what the assignment costs, however large the costs are that it does not pay.
TEST(Certificate, OneHugeCostHidesNothing) {
  const std::int64_t n = 12;
  for (const double huge : {1e12, 1e30, 1e300, std::numeric_limits<double>::infinity()}) {
    Random random(7);
    Matrix<double> c(n, n);
    for (double& value : c.values) value = 1e-6 * std::uniform_real_distribution<double>(0.5, 1)(random);
    const double optimum = reference_total(c) / n;
    c(3, 4) = huge;
    const Problem problem = Problem::from_matrix(c.view());
    std::vector<std::int64_t> sigma(n);
    std::iota(sigma.begin(), sigma.end(), 0);
    const double cost = total_of(c, sigma) / n;
    const Certificate certificate = certify(problem, sigma, std::vector<double>(n));
    EXPECT_NEAR(certificate.primal_cost, cost, 1e-12 * cost);
    EXPECT_LE(certificate.dual_bound, optimum);
    EXPECT_GE(certificate.gap, (cost - optimum) / cost);
    EXPECT_NEAR(certificate.gap, (cost - certificate.dual_bound) / cost, 1e-12);
  }
}

TEST(Certificate, WhatCostsNothingHasNoGap) {
  Random random(3);
  std::normal_distribution<double> normal;
  const std::int64_t n = 40;
  std::vector<std::int64_t> sigma(n);
  std::iota(sigma.begin(), sigma.end(), 0);
  std::vector<double> g(n);
  for (double& value : g) value = normal(random);
  const Matrix<double> x = gaussian<double>(random, n, 2), zero(n, n), c = cost_matrix(x, x, Cost::euclidean);
  for (const Problem& problem :
       {Problem::from_points(x.view(), x.view()), Problem::from_points(x.view(), x.view(), Cost::euclidean),
        Problem::from_matrix(zero.view()), Problem::from_matrix(c.view())})
    for (const std::vector<double>& potentials : {g, std::vector<double>(n)}) {
      const Certificate certificate = certify(problem, sigma, potentials);
      EXPECT_EQ(certificate.primal_cost, 0) << describe(problem);
      EXPECT_EQ(certificate.dual_bound, 0) << describe(problem);
      EXPECT_EQ(certificate.gap, 0) << describe(problem);
    }
}

// Squares that float, or double, does not hold.
TEST(Certificate, PointsOfAnySize) {
  Random random(std::random_device{}());
  const std::int64_t n = 30;
  const Matrix<double> x = gaussian<double>(random, n, 3), y = gaussian<double>(random, n, 3);
  std::vector<std::int64_t> sigma(n);
  std::iota(sigma.begin(), sigma.end(), 0);
  for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
    const Assignment plain = solve_exact(Problem::from_points(x.view(), y.view(), cost));
    for (const int exponent : {-250, -40, 40, 250}) {
      Matrix<double> far_x = x, far_y = y;
      for (double& value : far_x.values) value = std::ldexp(value, 2 * exponent);
      for (double& value : far_y.values) value = std::ldexp(value, 2 * exponent);
      std::vector<double> g = plain.g;
      const int of_costs = cost == Cost::euclidean ? 2 * exponent : 4 * exponent;
      if (of_costs > 1000) continue;
      for (double& value : g) value = std::ldexp(value, of_costs);
      const Certificate certificate = certify(Problem::from_points(far_x.view(), far_y.view(), cost), plain.sigma, g);
      EXPECT_NEAR(certificate.primal_cost, std::ldexp(plain.certificate.primal_cost, of_costs),
                  1e-12 * std::fabs(certificate.primal_cost));
      EXPECT_LE(certificate.gap, 1e-9) << name_of(cost) << ", 2^" << 2 * exponent;
    }
    Matrix<double> huge = x;
    huge(17, 2) = 1e200;
    const Problem problem = Problem::from_points(x.view(), huge.view(), cost);
    if (cost == Cost::squared_euclidean) {
      EXPECT_THROW(certify(problem, sigma, plain.g), InputError);
    } else if (cost == Cost::euclidean) {
      EXPECT_NEAR(certify(problem, sigma, plain.g).primal_cost, 1e200 / n, 1e188);
    }
  }
}

TEST(Certificate, ALimitLeavesATrueBound) {
  Random random(std::random_device{}());
  const std::int64_t n = 300;
  const Matrix<double> x = gaussian<double>(random, n, 4), y = gaussian<double>(random, n, 4);
  for (const Cost cost : {Cost::squared_euclidean, Cost::negative_dot}) {
    const Problem problem = Problem::from_points(x.view(), y.view(), cost);
    const Assignment plain = solve_exact(problem);
    const Certificate none = certify(problem, plain.sigma, plain.g, SolveLimits(SolveLimits::kNoIterations, 0));
    EXPECT_EQ(none.proven_rows, 0);
    EXPECT_LE(none.dual_bound, plain.certificate.primal_cost);
    EXPECT_GE(none.gap, 0);
    EXPECT_TRUE(std::isfinite(none.dual_bound));
    // A watch that ends the proof at its first look.
    std::int64_t looks = 0, unproven = -1;
    const SolveWatch watch = [&](const SolveProgress& at) {
      unproven = at.unproven_rows;
      return ++looks > 1;
    };
    const SolveLimits limits(SolveLimits::kNoIterations, SolveLimits::kNoSeconds, &watch);
    while (limits.seconds() < 0.11) {
    }
    const Certificate cut = certify(problem, plain.sigma, plain.g, limits, 1);
    EXPECT_EQ(looks, 1);
    EXPECT_EQ(unproven, n);
    EXPECT_EQ(cut.proven_rows, 0);
    EXPECT_EQ(limits.status(), SolveStatus::interrupted);
  }
}

// Clouds of which one is so small that its squares underflow.
TEST(Certificate, PointsWhoseSquaresUnderflow) {
  Matrix<double> x(2, 1), y(2, 1);
  x.values = {1e140, 2e140};
  y.values = {1e-165, 2e-165};
  const Problem problem = Problem::from_points(x.view(), y.view(), Cost::negative_dot);
  const Certificate certificate = certify(problem, std::vector<std::int64_t>{1, 0}, std::vector<double>(2));
  EXPECT_NEAR(certificate.primal_cost, -2e-25, 1e-37);
  EXPECT_LE(certificate.dual_bound, -2.5e-25);  // the optimum
  EXPECT_GE(certificate.gap, 0.25 - 1e-12);
  const SolveLimits none(SolveLimits::kNoIterations, 0);
  const Certificate unproven = certify(problem, std::vector<std::int64_t>{1, 0}, std::vector<double>(2), none);
  EXPECT_LE(unproven.dual_bound, -2.5e-25);
  EXPECT_GE(unproven.dual_bound, -1e-24);
}

// A pairing that costs nothing is optimal only where nothing costs less, however large potentials are.
TEST(Certificate, ASentinelHidesNoBetterPairing) {
  Matrix<double> c(3, 3);
  c.values = {0, -1e-6, 1e12, -1e-6, 0, 1e12, 1e12, 1e12, 0};
  const Problem problem = Problem::from_matrix(c.view());
  for (const std::vector<double>& g : {std::vector<double>{0, 0, -1e12}, {0, 0, 0}, {1e12, 1e12, 0}}) {
    const Certificate wrong = certify(problem, std::vector<std::int64_t>{0, 1, 2}, g);
    EXPECT_EQ(wrong.primal_cost, 0);
    EXPECT_LE(wrong.dual_bound, -2e-6 / 3 * (1 - 1e-12));
    EXPECT_GT(wrong.gap, 1e3);
  }
  EXPECT_LE(certify(problem, std::vector<std::int64_t>{1, 0, 2}, std::vector<double>{0, 0, 0}).gap, 1e-9);
  // The solver finds the better one, and says converged of problems whose optimum is 0 among costs of both signs.
  EXPECT_NEAR(solve_exact(problem).certificate.primal_cost, -2e-6 / 3, 1e-18);
  Random random(std::random_device{}());
  for (int round = 0; round < 20; ++round) {
    const std::int64_t n = 30;
    const Matrix<double> u = gaussian<double>(random, n, 1);
    Matrix<double> both(n, n);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        both(i, j) = i == j ? 0 : u(i, 0) - u(j, 0) + std::uniform_real_distribution<double>(0.01, 1)(random);
    const Assignment result = solve_exact(Problem::from_matrix(both.view()));
    EXPECT_EQ(result.status, SolveStatus::converged);
    EXPECT_EQ(result.certificate.primal_cost, 0);
    EXPECT_GE(result.certificate.dual_bound, -1e-13);
  }
}

// The figure in double is a bound too: no rounding brings it above what it stands for.
TEST(Certificate, TheBoundIsNeverRoundedUp) {
  Random random(std::random_device{}());
  std::normal_distribution<double> normal;
  int between = 0;
  for (int round = 0; round < 300; ++round) {
    const std::int64_t n = 1 + static_cast<std::int64_t>(random() % 40), m = round % 2 == 0 ? n : n + 5;
    Matrix<std::int64_t> whole(n, m);
    for (std::int64_t& value : whole.values) value = static_cast<std::int64_t>(random() % 1000) - 300;
    Matrix<double> wide(n, m);
    for (std::size_t k = 0; k < whole.values.size(); ++k) wide.values[k] = static_cast<double>(whole.values[k]);
    const Assignment result = solve_exact(Problem::from_matrix(whole.view()));
    const double optimum = reference_total(wide);
    EXPECT_EQ(result.certificate.gap, 0);
    // n is small, so that the product is exact.
    const long double bound = static_cast<long double>(result.certificate.dual_bound) * static_cast<long double>(n);
    EXPECT_LE(bound, static_cast<long double>(optimum));
    EXPECT_GE(bound, static_cast<long double>(optimum) - 1e-15L * std::fabs(optimum));
    between += bound != static_cast<long double>(optimum);

    const Matrix<double> c = gaussian<double>(random, n, m);
    std::vector<double> f(static_cast<std::size_t>(n)), g(static_cast<std::size_t>(m)), a(f.size()), b(g.size());
    for (double& value : g) value = normal(random);
    for (auto* masses : {&a, &b})
      for (double& value : *masses) value = std::uniform_real_distribution<double>(0.1, 1)(random);
    long double dual_f = 0, dual_g = 0, mass_a = 0, mass_b = 0, size = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      long double least = std::numeric_limits<long double>::infinity();
      for (std::int64_t j = 0; j < m; ++j)
        least = std::min(least, static_cast<long double>(c(i, j)) - g[static_cast<std::size_t>(j)]);
      dual_f += a[static_cast<std::size_t>(i)] * least;
      mass_a += a[static_cast<std::size_t>(i)];
      size = std::max(size, std::fabs(least));
    }
    for (std::size_t j = 0; j < g.size(); ++j) {
      dual_g += static_cast<long double>(b[j]) * g[j];
      mass_b += b[j];
      size = std::max(size, static_cast<long double>(std::fabs(g[j])));
    }
    const long double exact = dual_f / mass_a + dual_g / mass_b, rounding = 1e-17L * size;
    const double got = transport_dual_bound(Problem::from_matrix(c.view()), g, a, b);
    EXPECT_LE(got, exact + rounding);
    EXPECT_GE(got, exact - 1e-14L * size);

    for (double& value : a) value = static_cast<double>(value / mass_a);
    for (double& value : b) value = static_cast<double>(value / mass_b);
    const Problem problem = Problem::from_matrix(c.view());
    const Certificate plan = certify_plan({.problem = problem, .a = a, .b = b, .f = f, .g = g, .epsilon = 1.0});
    long double of_plan = 0, plain = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      long double least = std::numeric_limits<long double>::infinity(), lowest = least;
      for (std::int64_t j = 0; j < m; ++j) {
        least = std::min(least, static_cast<long double>(c(i, j)) - g[static_cast<std::size_t>(j)]);
        lowest = std::min(lowest, static_cast<long double>(c(i, j)));
      }
      of_plan += a[static_cast<std::size_t>(i)] * least;
      plain += a[static_cast<std::size_t>(i)] * lowest;
    }
    for (std::size_t j = 0; j < g.size(); ++j) of_plan += static_cast<long double>(b[j]) * g[j];
    EXPECT_LE(plan.dual_bound, std::max(of_plan, plain) + rounding);
    EXPECT_GE(plan.dual_bound, std::max(of_plan, plain) - 1e-14L * size);
  }
  EXPECT_GT(between, 0);
}

}  // namespace
}  // namespace otnfm::test
