// Transport between weighted points: whole masses against an assignment of their units, planted plans, and what it
// refuses.
#include "ot/transport.h"
#include "ot/costs/infinity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>

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
  // One in three pairs, but none of a plan that is there in any case: the units in order.
  Matrix<double> c = unit, finite = unit, planned(20, 15);
  double left = b[0];
  for (std::int64_t i = 0, j = 0; i < 20; ++i)
    for (double unit_of_row = 0; unit_of_row < a[static_cast<std::size_t>(i)]; ++unit_of_row) {
      while (left == 0) left = b[static_cast<std::size_t>(++j)];
      --left;
      planned(i, j) = 1;
    }
  for (std::int64_t i = 0; i < 20; ++i)
    for (std::int64_t j = 0; j < 15; ++j)
      if (planned(i, j) == 0 && random() % 3 == 0) {
        c(i, j) = kInfinity;
        finite(i, j) = 1e6;
      }
  const Transport result = solve_transport(Problem::from_matrix(c.view()), a, b);
  const double expected = reference_cost(finite, a, b);
  ASSERT_LT(expected, 1e3);
  for (std::size_t k = 0; k < result.mass.size(); ++k) EXPECT_TRUE(std::isfinite(c(result.rows[k], result.columns[k])));
  EXPECT_TRUE(std::fabs(result.primal_cost - expected) <= 1e-9);
  EXPECT_TRUE(result.gap <= 1e-9);
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
  // Out of time long before the costs are there.
  const Matrix<float> far = gaussian<float>(random, 2500, 300);
  const Problem large = Problem::from_points(far.view(), far.view(), Cost::euclidean);
  const auto start = std::chrono::steady_clock::now();
  const Transport late = solve_transport(large, {}, {}, {.max_seconds = 0});
  EXPECT_EQ(late.status, SolveStatus::time_limit);
  EXPECT_TRUE(late.marginal_error <= 1e-12 && late.primal_cost >= 0 && late.mass.size() >= 2500);
  EXPECT_TRUE(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 30);
  const Transport stopped = solve_transport(large, {}, {}, {.watch = [](const SolveProgress&) { return false; }});
  EXPECT_EQ(stopped.status, SolveStatus::interrupted);
  EXPECT_LE(stopped.marginal_error, 1e-12);
  const Transport threads = solve_transport(points, {}, {}, {.threads = 1});
  EXPECT_EQ(threads.mass, whole.mass);
  EXPECT_EQ(threads.g, whole.g);
}

// Masses that sum up to rounding only: what is left over may meet a pair that is forbidden.
TEST(Transport, RoundingMassOnAForbiddenPairIsNone) {
  Matrix<double> c(2, 3);
  c.values = {1, 1, kInfinity, kInfinity, kInfinity, 1};
  const std::vector<double> a = {0.1 + 0.2, 0.7}, b = {0.1, 0.2, 0.7};
  const Transport result = solve_transport(Problem::from_matrix(c.view()), a, b);
  EXPECT_EQ(result.status, SolveStatus::converged);
  EXPECT_NEAR(result.primal_cost, 1, 1e-15);
  EXPECT_TRUE(result.dual_bound <= result.primal_cost && result.gap >= 0 && result.gap <= 1e-12) << result.gap;
  EXPECT_EQ(result.mass.size(), 3u);

  // Blocks that exchange nothing, each of its own mass on both sides but for rounding.
  Random random(std::random_device{}());
  for (int round = 0; round < 20; ++round) {
    const std::int64_t blocks = 5, rows = 4, columns = 7;
    Matrix<double> costs(blocks * rows, blocks * columns);
    std::ranges::fill(costs.values, kInfinity);
    std::vector<double> source(static_cast<std::size_t>(costs.rows)), target(static_cast<std::size_t>(costs.columns));
    for (std::int64_t block = 0; block < blocks; ++block) {
      double sum = 0, drawn = 0;
      for (std::int64_t j = block * columns; j < (block + 1) * columns; ++j)
        sum += target[static_cast<std::size_t>(j)] = std::uniform_real_distribution<double>(0.1, 1)(random);
      for (std::int64_t i = block * rows; i < (block + 1) * rows; ++i) {
        drawn += source[static_cast<std::size_t>(i)] = std::uniform_real_distribution<double>(0.1, 1)(random);
        for (std::int64_t j = block * columns; j < (block + 1) * columns; ++j)
          costs(i, j) = std::uniform_real_distribution<double>(0.1, 1)(random);
      }
      for (std::int64_t i = block * rows; i < (block + 1) * rows; ++i)
        source[static_cast<std::size_t>(i)] *= sum / drawn;
    }
    const Transport found = solve_transport(Problem::from_matrix(costs.view()), source, target);
    EXPECT_EQ(found.status, SolveStatus::converged);
    EXPECT_TRUE(std::isfinite(found.primal_cost) && found.gap >= 0 && found.gap <= 1e-9) << found.gap;
    EXPECT_LE(found.marginal_error, 1e-11);
    for (std::size_t k = 0; k < found.mass.size(); ++k)
      EXPECT_TRUE(std::isfinite(costs(found.rows[k], found.columns[k])));
  }
}

TEST(Transport, ALimitThatLeavesForbiddenPairsHasAnInfiniteGap) {
  Matrix<double> c(2, 2);
  c.values = {0, 1, 1, kInfinity};
  const Problem problem = Problem::from_matrix(c.view());
  const Transport cut = solve_transport(problem, {}, {}, {.max_iterations = 0});
  EXPECT_EQ(cut.status, SolveStatus::iteration_limit);
  EXPECT_EQ(cut.primal_cost, kInfinity);
  EXPECT_EQ(cut.gap, kInfinity);
  EXPECT_LE(cut.dual_bound, 1);
  const Transport whole = solve_transport(problem, {}, {});
  EXPECT_EQ(whole.primal_cost, 1);
  EXPECT_EQ(whole.status, SolveStatus::converged);
}

// One cloud, and each of its points once, twice or three times: nothing has to move, and it is proved so.
TEST(Transport, IdenticalCloudsHaveNoGap) {
  Random random(std::random_device{}());
  for (int round = 0; round < 12; ++round)
    for (const std::int64_t copies : {1, 2, 3}) {
      const std::int64_t n = 60;
      const Matrix<double> x = gaussian<double>(random, n, 2);
      std::vector<std::int64_t> order(static_cast<std::size_t>(n * copies));
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), random);
      Matrix<double> y(n * copies, 2);
      for (std::int64_t j = 0; j < y.rows; ++j)
        for (std::int64_t k = 0; k < 2; ++k) y(j, k) = x(order[static_cast<std::size_t>(j)] % n, k);
      const Matrix<double> c = cost_matrix(x, y, Cost::euclidean);
      for (const Problem& problem :
           {Problem::from_points(x.view(), y.view()), Problem::from_points(x.view(), y.view(), Cost::euclidean),
            Problem::from_matrix(c.view())}) {
        const Transport result = solve_transport(problem, {}, {});
        EXPECT_EQ(result.status, SolveStatus::converged);
        EXPECT_EQ(result.primal_cost, 0);
        EXPECT_EQ(result.dual_bound, 0);
        EXPECT_EQ(result.gap, 0) << copies;
      }
    }
}

// What it calls converged is proved: to a small gap, or, where costs cancel, beside their sizes.
TEST(Transport, ConvergedIsProved) {
  Random random(std::random_device{}());
  for (const CostGenerator& generator : cost_generators())
    for (const auto& [n, m] : {std::pair{30, 30}, {17, 45}, {45, 17}}) {
      SCOPED_TRACE(generator.name);
      const Matrix<double> c = generator.make(random, n, m);
      std::vector<double> a(static_cast<std::size_t>(n)), b(static_cast<std::size_t>(m), 0);
      for (std::size_t unit = 0; unit < 3 * a.size(); ++unit) {
        a[unit % a.size()] += 1;
        b[random() % b.size()] += 1;
      }
      const Transport result = solve_transport(Problem::from_matrix(c.view()), a, b);
      double size = 0;
      for (std::size_t k = 0; k < result.mass.size(); ++k)
        size += result.mass[k] / result.total_mass * std::fabs(c(result.rows[k], result.columns[k]));
      EXPECT_TRUE(result.status == SolveStatus::converged || result.status == SolveStatus::numerical_failure);
      if (result.status == SolveStatus::converged) {
        EXPECT_LE(result.primal_cost - result.dual_bound, 2e-9 * size + 1e-300);
      }
      EXPECT_TRUE(result.gap >= 0);
      EXPECT_LE(result.dual_bound, result.primal_cost);
    }
}

// One row, or one column: the only plan, in no time. So too where all pairs of a row without mass are forbidden.
TEST(Transport, OneAgainstVeryMany) {
  Random random(std::random_device{}());
  const std::int64_t m = 20011;
  const Matrix<double> one = gaussian<double>(random, 1, 3), many = gaussian<double>(random, m, 3);
  std::vector<double> b(static_cast<std::size_t>(m));
  double total = 0, cost = 0;
  for (std::int64_t j = 0; j < m; ++j) {
    total += b[static_cast<std::size_t>(j)] = std::uniform_real_distribution<double>(0.5, 1)(random);
    double square = 0;
    for (std::int64_t k = 0; k < 3; ++k) square += (one(0, k) - many(j, k)) * (one(0, k) - many(j, k));
    cost += b[static_cast<std::size_t>(j)] * square;
  }
  for (const bool exchanged : {false, true}) {
    const Problem problem =
        exchanged ? Problem::from_points(many.view(), one.view()) : Problem::from_points(one.view(), many.view());
    const Transport result = exchanged ? solve_transport(problem, b, {}) : solve_transport(problem, {}, b);
    EXPECT_EQ(result.status, SolveStatus::converged);
    EXPECT_EQ(result.mass.size(), b.size());
    EXPECT_NEAR(result.primal_cost, cost / total, 1e-12 * cost / total);
  }
}

TEST(Transport, RowsWhoseEveryPairIsForbidden) {
  Random random(std::random_device{}());
  const std::int64_t n = 70, m = 80;
  Matrix<double> c(n, m);
  for (double& value : c.values) value = std::uniform_real_distribution<double>(0, 1)(random);
  for (std::int64_t j = 0; j < m; ++j) c(11, j) = c(40, j) = kInfinity;
  std::vector<double> a(static_cast<std::size_t>(n), 1.0);
  expect_names([&] { solve_transport(Problem::from_matrix(c.view()), a, {}); }, {"every plan needs pairs"});
  // A plan of all the same with what a limit leaves.
  const Transport cut = solve_transport(Problem::from_matrix(c.view()), a, {}, {.max_iterations = 5});
  EXPECT_EQ(cut.gap, kInfinity);
  EXPECT_LE(cut.marginal_error, 1e-12);
  a[11] = a[40] = 0;
  const Transport result = solve_transport(Problem::from_matrix(c.view()), a, {});
  EXPECT_EQ(result.status, SolveStatus::converged);
  EXPECT_LE(result.gap, 1e-9);
}

}  // namespace
}  // namespace otnfm::test
