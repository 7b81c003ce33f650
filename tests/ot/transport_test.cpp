// Transport between weighted points: whole masses against an assignment of their units, planted plans, and what it
// refuses.
#include "ot/costs/infinity.h"
#include "ot/transport.h"

#include <gtest/gtest.h>

#include <chrono>

#include "kernels/error.h"
#include "ot/exact.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

// `units` thrown at random at `count` bins.
std::vector<double> whole_masses(Random& random, std::int64_t count, std::int64_t units) {
  std::vector<double> masses(static_cast<std::size_t>(count), 0);
  for (std::int64_t unit = 0; unit < units; ++unit) masses[random() % masses.size()] += 1;
  return masses;
}

// The least mean cost: each unit of mass is a row, or a column, of an assignment.
double reference_cost(const Matrix<double>& c, const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<std::int64_t> rows, columns;
  for (std::size_t i = 0; i < a.size(); ++i)
    rows.insert(rows.end(), static_cast<std::size_t>(a[i]), static_cast<std::int64_t>(i));
  for (std::size_t j = 0; j < b.size(); ++j)
    columns.insert(columns.end(), static_cast<std::size_t>(b[j]), static_cast<std::int64_t>(j));
  const auto units = static_cast<std::int64_t>(rows.size());
  Matrix<double> units_costs(units, units);
  for (std::int64_t i = 0; i < units; ++i)
    for (std::int64_t j = 0; j < units; ++j)
      units_costs(i, j) = c(rows[static_cast<std::size_t>(i)], columns[static_cast<std::size_t>(j)]);
  return reference_total(units_costs) / static_cast<double>(units);
}

// Everything that a result says of itself, against plain loops.
void expect_consistent(const Matrix<double>& c, const std::vector<double>& a, const std::vector<double>& b,
                       const Transport& result) {
  EXPECT_EQ(result.status, SolveStatus::converged);
  ASSERT_EQ(result.rows.size(), result.mass.size());
  ASSERT_EQ(result.columns.size(), result.mass.size());
  EXPECT_LT(result.mass.size(), a.size() + b.size());
  double total = 0, size = 0, cost = 0, dual = 0, error = 0;
  for (const double value : a) total += value;
  EXPECT_TRUE(std::fabs(result.total_mass - total) <= 1e-12 * total);
  std::vector<double> rows = a, columns = b;
  for (const double value : c.values)
    if (std::isfinite(value)) size = std::max(size, std::fabs(value));
  for (std::size_t k = 0; k < result.mass.size(); ++k) {
    const auto i = static_cast<std::size_t>(result.rows[k]), j = static_cast<std::size_t>(result.columns[k]);
    EXPECT_GT(result.mass[k], 0);
    if (k > 0) {
      EXPECT_TRUE(std::pair(result.rows[k - 1], result.columns[k - 1]) < std::pair(result.rows[k], result.columns[k]));
    }
    rows[i] -= result.mass[k];
    columns[j] -= result.mass[k];
    cost += result.mass[k] / total * c(result.rows[k], result.columns[k]);
    EXPECT_TRUE(std::fabs(c(result.rows[k], result.columns[k]) - result.f[i] - result.g[j]) <= 1e-11 * size);
  }
  for (const double left : rows) error += std::fabs(left) / total;
  for (const double left : columns) error += std::fabs(left) / total;
  EXPECT_TRUE(error <= 1e-12) << error;
  EXPECT_TRUE(std::fabs(result.marginal_error - error) <= 1e-12);
  for (std::int64_t i = 0; i < c.rows; ++i)
    dual += a[static_cast<std::size_t>(i)] / total * result.f[static_cast<std::size_t>(i)];
  for (std::int64_t j = 0; j < c.columns; ++j)
    dual += b[static_cast<std::size_t>(j)] / total * result.g[static_cast<std::size_t>(j)];
  for (std::int64_t i = 0; i < c.rows; ++i)
    for (std::int64_t j = 0; j < c.columns; ++j)
      ASSERT_TRUE(c(i, j) - result.f[static_cast<std::size_t>(i)] - result.g[static_cast<std::size_t>(j)] >=
                  -1e-11 * size)
          << i << ", " << j;
  EXPECT_TRUE(std::fabs(result.primal_cost - cost) <= 1e-12 * size);
  EXPECT_TRUE(std::fabs(result.dual_bound - dual) <= 1e-11 * size) << result.dual_bound << " for " << dual;
  EXPECT_TRUE(result.primal_cost - result.dual_bound <= 1e-11 * size) << result.gap;
}

TEST(Transport, EqualsAnAssignmentOfUnits) {
  Random random(std::random_device{}());
  for (const auto& [n, m, units] :
       {std::tuple{1, 1, 1}, {1, 9, 20}, {9, 1, 20}, {7, 5, 12}, {13, 31, 40}, {40, 40, 60}, {90, 60, 150}})
    for (const bool ties : {false, true})
      for (int round = 0; round < 3; ++round) {
        SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + " ties " + std::to_string(ties));
        Matrix<double> c(n, m);
        for (double& value : c.values)
          value = ties ? static_cast<double>(random() % 3) : std::uniform_real_distribution<double>(-1, 1)(random);
        const std::vector<double> a = whole_masses(random, n, units), b = whole_masses(random, m, units);
        const Transport result = solve_transport(Problem::from_matrix(c.view()), a, b);
        expect_consistent(c, a, b, result);
        EXPECT_TRUE(std::fabs(result.primal_cost - reference_cost(c, a, b)) <= 1e-12) << result.primal_cost;
      }
}

// Equal masses, n = m: an optimal vertex is a permutation.
TEST(Transport, OfEqualMassesIsTheAssignment) {
  Random random(std::random_device{}());
  for (const auto& [n, d] : {std::pair{150, 2}, {151, 1}, {120, 30}}) {
    const Matrix<float> x = gaussian<float>(random, n, d), y = gaussian<float>(random, n, d, 2, 1);
    for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
      const Problem problem = Problem::from_points(x.view(), y.view(), cost);
      const Transport result = solve_transport(problem, {}, {}),
                      streamed = solve_transport(problem, {}, {}, {.most_bytes = 0});
      const std::vector<double> weights(static_cast<std::size_t>(n), 1.0 / n);
      expect_consistent(cost_matrix(x, y, cost), weights, weights, result);
      EXPECT_EQ(result.mass.size(), static_cast<std::size_t>(n));
      const double optimum = solve_exact(problem).certificate.primal_cost;
      EXPECT_TRUE(std::fabs(result.primal_cost - optimum) <= 1e-12 * std::fabs(optimum));
      EXPECT_TRUE(std::fabs(streamed.primal_cost - optimum) <= 1e-12 * std::fabs(optimum));
    }
  }
}

// Clouds of different sizes and masses over many orders; the dual certificate is the proof.
TEST(Transport, MassesOfManySizes) {
  Random random(std::random_device{}());
  for (const auto& [n, m, orders] : {std::tuple{300, 170, 0.0}, {60, 400, 3.0}, {200, 200, 14.0}}) {
    SCOPED_TRACE(orders);
    const Matrix<double> x = gaussian<double>(random, n, 2), y = gaussian<double>(random, m, 2, 1, 0.5);
    std::vector<double> a(static_cast<std::size_t>(n)), b(static_cast<std::size_t>(m));
    double sum_a = 0, sum_b = 0;
    for (auto* side : {&a, &b})
      for (double& value : *side) value = std::pow(10.0, std::uniform_real_distribution<double>(-orders, 0)(random));
    a[3] = b[5] = 0;
    for (const double value : a) sum_a += value;
    for (const double value : b) sum_b += value;
    for (double& value : b) value *= sum_a / sum_b;
    for (std::size_t k = 0; k < 2; ++k) (k == 0 ? a : b)[7] += (k == 0 ? 1 : sum_a) * 1e-9;  // within the tolerance
    const Transport result = solve_transport(Problem::from_points(x.view(), y.view()), a, b);
    double total_a = 0, total_b = 0;
    for (const double value : a) total_a += value;
    for (const double value : b) total_b += value;
    for (double& value : b) value *= total_a / total_b;
    expect_consistent(cost_matrix(x, y, Cost::squared_euclidean), a, b, result);
  }
}

// All mass of a row goes to the column that potentials chosen beforehand make the least: that is the optimum.
TEST(Transport, FindsAPlantedPlan) {
  Random random(std::random_device{}());
  const std::int64_t n = 230, m = 61;
  Matrix<double> c(n, m);
  std::vector<double> a(static_cast<std::size_t>(n)), b(static_cast<std::size_t>(m), 0), u(a.size()), v(b.size());
  double optimum = 0, total = 0;
  for (auto* side : {&a, &u, &v})
    for (double& value : *side) value = std::uniform_real_distribution<double>(0.01, 1)(random);
  for (std::int64_t i = 0; i < n; ++i) {
    const auto row = static_cast<std::size_t>(i);
    const auto chosen = static_cast<std::int64_t>(random() % m);
    for (std::int64_t j = 0; j < m; ++j)
      c(i, j) = u[row] + v[static_cast<std::size_t>(j)] +
                (j == chosen ? 0 : std::uniform_real_distribution<double>(0, 1)(random));
    b[static_cast<std::size_t>(chosen)] += a[row];
    optimum += a[row] * c(i, chosen);
    total += a[row];
  }
  const Transport result = solve_transport(Problem::from_matrix(c.view()), a, b);
  expect_consistent(c, a, b, result);
  EXPECT_TRUE(std::fabs(result.primal_cost - optimum / total) <= 1e-12);
}

TEST(Transport, CostsOfAnySizeAndForbiddenPairs) {
  Random random(std::random_device{}());
  Matrix<double> unit(20, 15);
  for (double& value : unit.values) value = std::uniform_real_distribution<double>(0.1, 1)(random);
  const std::vector<double> a = whole_masses(random, 20, 60), b = whole_masses(random, 15, 60);
  const double optimum = reference_cost(unit, a, b);
  for (const double scale : {1e-250, 1e-20, 1e30, 1e250}) {
    Matrix<double> c = unit;
    for (double& value : c.values) value *= scale;
    const Transport result = solve_transport(Problem::from_matrix(c.view()), a, b);
    expect_consistent(c, a, b, result);
    EXPECT_TRUE(std::fabs(result.primal_cost / scale - optimum) <= 1e-12);
  }
  // One in three pairs of a plan that is there in any case: the diagonal blocks.
  Matrix<double> c = unit, finite = unit;
  for (std::int64_t i = 0; i < 20; ++i)
    for (std::int64_t j = 1; j < 15; ++j)
      if (random() % 3 == 0) {
        c(i, j) = kInfinity;
        finite(i, j) = 1e6;
      }
  const Transport result = solve_transport(Problem::from_matrix(c.view()), a, b);
  const double expected = reference_cost(finite, a, b);
  if (expected < 1e3) {
    for (std::size_t k = 0; k < result.mass.size(); ++k)
      EXPECT_TRUE(std::isfinite(c(result.rows[k], result.columns[k])));
    EXPECT_TRUE(std::fabs(result.primal_cost - expected) <= 1e-9);
    EXPECT_TRUE(result.gap <= 1e-9);
  }
  const Matrix<double> zeros(20, 15);
  EXPECT_EQ(solve_transport(Problem::from_matrix(zeros.view()), a, b).gap, 0);
}

template <class Solve>
void expect_names(const Solve& solve, const std::vector<std::string>& words) {
  try {
    solve();
    ADD_FAILURE() << "not refused: " << words.front();
  } catch (const InputError& error) {
    for (const std::string& word : words)
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(Transport, EmptyInvalidAndCapped) {
  const Matrix<double> none(0, 2), two(2, 2);
  EXPECT_EQ(solve_transport(Problem::from_points(none.view(), two.view()), {}, {}).g.size(), 2u);
  Matrix<double> c(2, 3);
  const Problem problem = Problem::from_matrix(c.view());
  const std::vector<double> one = {0.25, 0.75}, three = {1, 1, 1}, negative = {2, -1}, zero = {0, 0};
  expect_names([&] { solve_transport(problem, one, three); }, {"source_weights sums to 1", "target_weights to 3"});
  expect_names([&] { solve_transport(problem, three, three); }, {"source_weights has 3"});
  expect_names([&] { solve_transport(problem, negative, {}); }, {"source_weights holds -1 at [1]"});
  expect_names([&] { solve_transport(problem, zero, {}); }, {"source_weights sums to 0"});
  EXPECT_EQ(solve_transport(problem, {}, three).total_mass, 3);
  c(1, 2) = std::nan("");
  expect_names([&] { solve_transport(problem, one, {}); }, {"[1, 2]"});
  for (std::int64_t i = 0; i < 2; ++i) c(i, 2) = kInfinity;
  expect_names([&] { solve_transport(problem, one, {}); }, {"infinite", "0.333"});
  const std::vector<double> without = {1, 1, 0};
  EXPECT_EQ(solve_transport(problem, {}, without).status, SolveStatus::converged);

  Random random(std::random_device{}());
  const Matrix<double> x = gaussian<double>(random, 200, 3), y = gaussian<double>(random, 170, 3, 1, 2);
  const Problem points = Problem::from_points(x.view(), y.view());
  const Transport capped = solve_transport(points, {}, {}, {.max_iterations = 3}),
                  whole = solve_transport(points, {}, {});
  EXPECT_EQ(capped.status, SolveStatus::iteration_limit);
  EXPECT_TRUE(capped.marginal_error <= 1e-12);  // a plan all the same
  EXPECT_TRUE(capped.primal_cost >= whole.primal_cost && capped.dual_bound <= whole.primal_cost * (1 + 1e-12));
  EXPECT_TRUE(capped.gap > 1e-9 && capped.gap < 0.5) << capped.gap;
  const Transport stopped = solve_transport(points, {}, {}, {.watch = [](const SolveProgress&) { return false; }});
  EXPECT_TRUE(stopped.status == SolveStatus::interrupted || stopped.seconds < 0.2);
  // Out of time long before the costs are there.
  const Matrix<float> far = gaussian<float>(random, 2500, 300);
  const Problem large = Problem::from_points(far.view(), far.view(), Cost::euclidean);
  const auto start = std::chrono::steady_clock::now();
  const Transport late = solve_transport(large, {}, {}, {.max_seconds = 0});
  EXPECT_EQ(late.status, SolveStatus::time_limit);
  EXPECT_TRUE(late.marginal_error <= 1e-12 && late.primal_cost >= 0 && late.mass.size() >= 2500);
  EXPECT_TRUE(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 30);
  const Transport threads = solve_transport(points, {}, {}, {.threads = 1});
  EXPECT_EQ(threads.mass, whole.mass);
  EXPECT_EQ(threads.g, whole.g);
}

}  // namespace
}  // namespace otnfm::test
