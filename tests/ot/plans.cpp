// What is read from a plan or a pairing without a solver: its cost, its pairs, its entries.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ot/certificate.h"
#include "ot/sinkhorn_plan.h"
#include "ot/transport.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

TEST(Plans, PairsHaveACostWithoutAProof) {
  Random random(std::random_device{}());
  for (const auto& [n, m] : {std::pair{17, 17}, {9, 23}, {23, 9}}) {
    const Matrix<double> x = gaussian<double>(random, n, 3), y = gaussian<double>(random, m, 3);
    const Problem problem = Problem::from_points(x.view(), y.view(), Cost::euclidean);
    const Matrix<double> costs = cost_matrix(x, y, Cost::euclidean);
    std::vector<std::int64_t> sigma(static_cast<std::size_t>(n), -1), columns(static_cast<std::size_t>(m));
    std::iota(columns.begin(), columns.end(), std::int64_t{0});
    std::ranges::shuffle(columns, random);
    double sum = 0;
    const int matched = std::min(n, m);
    for (int i = 0; i < matched; ++i) {
      sigma[static_cast<std::size_t>(i)] = columns[static_cast<std::size_t>(i)];
      sum += costs(i, columns[static_cast<std::size_t>(i)]);
    }
    const Certificate whole = cost_of_pairs(problem, sigma);
    EXPECT_NEAR(whole.primal_cost, sum / matched, 1e-12 * sum);
    EXPECT_TRUE(whole.is_permutation);
    EXPECT_TRUE(std::isnan(whole.dual_bound) && std::isnan(whole.gap));
    sigma[0] = sigma[1];
    EXPECT_FALSE(cost_of_pairs(problem, sigma).is_permutation);
  }
}

TEST(Plans, AnUnprovenPlanHasItsCostAndItsLargestParts) {
  Random random(std::random_device{}());
  const std::int64_t n = 29, m = 18;
  const Matrix<float> x = gaussian<float>(random, n, 2), y = gaussian<float>(random, m, 2, 1, 2);
  const Problem problem = Problem::from_points(x.view(), y.view());
  std::vector<double> a(static_cast<std::size_t>(n));
  for (double& mass : a) mass = std::uniform_real_distribution<double>(0, 3)(random);
  a[4] = 0;
  const Transport proven = solve_transport(problem, a, {});
  Transport plan = solve_transport(problem, a, {}, {.certify = false});
  EXPECT_EQ(plan.primal_cost, proven.primal_cost);
  EXPECT_EQ(plan.marginal_error, proven.marginal_error);
  EXPECT_TRUE(std::isnan(plan.dual_bound) && std::isnan(plan.gap));
  EXPECT_EQ(plan.certificate_seconds, 0);
  EXPECT_GT(proven.certificate_seconds, 0);
  EXPECT_EQ(plan.status, SolveStatus::converged);
  Matrix<double> entries(n, m);
  for (std::size_t k = 0; k < plan.mass.size(); ++k) entries(plan.rows[k], plan.columns[k]) = plan.mass[k];
  const std::vector<double> g = plan.g;
  const Assignment pairs = largest_parts(problem, plan);
  EXPECT_EQ(pairs.g, g);
  EXPECT_FALSE(pairs.certificate.is_permutation);
  EXPECT_EQ(pairs.certificate.primal_cost, plan.primal_cost);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t j = pairs.sigma[static_cast<std::size_t>(i)];
    EXPECT_EQ(j < 0, i == 4);
    for (std::int64_t k = 0; k < m && j >= 0; ++k) EXPECT_LE(entries(i, k), entries(i, j));
  }
  // Masses that are all alike have a permutation.
  Transport even = solve_transport(Problem::from_points(x.view(), x.view()), {}, {});
  const Assignment same = largest_parts(Problem::from_points(x.view(), x.view()), even);
  EXPECT_TRUE(same.certificate.is_permutation);
  for (std::int64_t i = 0; i < n; ++i) EXPECT_EQ(same.sigma[static_cast<std::size_t>(i)], i);
}

TEST(Plans, SinkhornsEntriesAddUpToItsFigures) {
  Random random(std::random_device{}());
  const std::int64_t n = 31, m = 22;
  const Matrix<double> x = gaussian<double>(random, n, 3), y = gaussian<double>(random, m, 3, 1, 0.5);
  const Problem problem = Problem::from_points(x.view(), y.view());
  const Matrix<double> costs = cost_matrix(x, y, Cost::squared_euclidean);
  std::vector<double> a(static_cast<std::size_t>(n)), b(static_cast<std::size_t>(m));
  for (std::vector<double>* side : {&a, &b})
    for (double& mass : *side) mass = std::uniform_real_distribution<double>(0.1, 2)(random);
  for (const double penalty : {std::numeric_limits<double>::infinity(), 2.0})
    for (const bool weighted : {false, true}) {
      SinkhornOptions options{.tolerance = 1e-5, .marginal_penalty = penalty};
      if (weighted) options.source_weights = a, options.target_weights = b;
      const SinkhornResult result = solve_sinkhorn(problem, options);
      const SinkhornPlan plan(problem, options, result);
      double mass = 0, cost = 0;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < m; ++j) mass += plan(i, j), cost += plan(i, j) * costs(i, j);
      EXPECT_NEAR(mass, result.mass, 1e-4 * result.mass);
      EXPECT_NEAR(cost, result.transport_cost, 1e-4 * result.transport_cost);
    }
}

}  // namespace
}  // namespace otnfm::test
