// The certificate on answers that are wrong on purpose: it must show their true gap, and bound from below whatever it
// is given.
#include "ot/certificate.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "ot/exact.h"
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

// The blocks of the pass: sizes about its tiles of 64 rows and 32 columns, every element type, against a plain loop.
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
  for (const std::int64_t n : {1, 31, 32, 33, 63, 64, 65, 131})
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

}  // namespace
}  // namespace otnfm::test
