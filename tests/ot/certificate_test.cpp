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

}  // namespace
}  // namespace otnfm::test
