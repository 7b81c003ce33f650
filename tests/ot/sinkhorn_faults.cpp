// What Sinkhorn makes of problems that strangers bring: numbers of any size, entries that forbid, weights of 0, options
// that no precision carries, and limits.
#include <gtest/gtest.h>

#include <chrono>

#include "kernels/error.h"
#include "ot/costs/infinity.h"
#include "ot/sinkhorn.h"
#include "ot/transport.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

template <class T>
Matrix<T> times(const Matrix<double>& matrix, double factor) {
  Matrix<T> out(matrix.rows, matrix.columns);
  for (std::size_t k = 0; k < matrix.values.size(); ++k) out.values[k] = static_cast<T>(matrix.values[k] * factor);
  return out;
}

// The answer to a problem of unit size, times the unit.
void expect_the_same(const Problem& unit, const Problem& problem, double factor) {
  SCOPED_TRACE(describe(problem) + " times " + std::to_string(std::log2(factor)));
  SinkhornSolver solver;
  SinkhornResult expected, result;
  solver.solve(unit, {}, expected);
  solver.solve(problem, {}, result);
  EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
  EXPECT_TRUE(std::fabs(result.transport_cost / factor - expected.transport_cost) <= 1e-6 * expected.transport_cost);
  EXPECT_TRUE(std::fabs(result.epsilon / factor - expected.epsilon) <= 1e-9 * expected.epsilon);
  for (std::size_t j = 0; j < result.g.size(); ++j)
    EXPECT_TRUE(std::fabs(result.g[j] / factor - expected.g[j]) <= 1e-6 * expected.transport_cost);
  for (const bool permutation : {true, false}) {
    const Assignment pairs = permutation ? solver.round_to_permutation(1e-3) : solver.argmax_pairs();
    EXPECT_EQ(pairs.status, SolveStatus::converged);
    EXPECT_TRUE(std::isfinite(pairs.certificate.primal_cost) && std::isfinite(pairs.certificate.dual_bound));
    if (permutation) {
      EXPECT_TRUE(pairs.certificate.gap <= 1e-3 && pairs.certificate.gap >= -1e-9) << pairs.certificate.gap;
    }
  }
}

TEST(SinkhornFaults, PointsAndCostsOfAnySize) {
  Random random(std::random_device{}());
  const Matrix<double> x = gaussian<double>(random, 40, 2), y = gaussian<double>(random, 40, 2, 1, 0.5);
  const Problem unit = Problem::from_points(x.view(), y.view());
  const Matrix<double> c = cost_matrix(x, y, Cost::squared_euclidean);
  for (const int exponent : {-400, -63, 63, 400}) {
    const double factor = std::ldexp(1.0, exponent);
    const Matrix<double> wide_x = times<double>(x, factor), wide_y = times<double>(y, factor);
    expect_the_same(unit, Problem::from_points(wide_x.view(), wide_y.view()), factor * factor);
    const Matrix<double> costs = times<double>(c, factor);
    expect_the_same(Problem::from_matrix(c.view()), Problem::from_matrix(costs.view()), factor);
    if (std::abs(exponent) > 100) continue;
    const Matrix<float> unit_x = times<float>(x, 1), unit_y = times<float>(y, 1), narrow_x = times<float>(x, factor),
                        narrow_y = times<float>(y, factor);
    expect_the_same(Problem::from_points(unit_x.view(), unit_y.view()),
                    Problem::from_points(narrow_x.view(), narrow_y.view()), factor * factor);
  }
  const Matrix<double> x_huge = times<double>(x, 1e170);
  EXPECT_THROW(solve_sinkhorn(Problem::from_points(x_huge.view(), x_huge.view())), InputError);
}

// One cell says "no data" by the largest negative float.
TEST(SinkhornFaults, OneCellOfTheLargestSize) {
  Random random(std::random_device{}());
  for (const std::int64_t d : {2, 16}) {
    Matrix<float> x = gaussian<float>(random, 50, d);
    const Matrix<float> y = gaussian<float>(random, 50, d);
    x(7, 1) = -3.4028235e38f;
    SinkhornSolver solver;
    SinkhornResult result;
    solver.solve(Problem::from_points(x.view(), y.view()), {.max_seconds = 20}, result);
    EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
    const double expected = std::pow(3.4028235e38, 2) / 50;
    EXPECT_TRUE(std::fabs(result.transport_cost - expected) <= 1e-3 * expected) << result.transport_cost;
    const Assignment pairs = solver.round_to_permutation(1e-3, 20);
    EXPECT_TRUE(one_to_one(pairs.sigma, 50));
    EXPECT_TRUE(pairs.certificate.gap <= 1e-3);
  }
}

// Costs of 1e12 that forbid among costs of 1e-6: the plan's potentials cannot see the small ones.
TEST(SinkhornFaults, ARoundedPlanIsFinishedWhateverThePotentialsAre) {
  Random random(std::random_device{}());
  for (const double sentinel : {1e12, 1e200}) {
    Matrix<double> c(40, 40);
    for (double& value : c.values)
      value = random() % 2 == 0 ? sentinel : std::uniform_real_distribution<double>(1e-7, 1e-6)(random);
    SinkhornSolver solver;
    SinkhornResult result;
    solver.solve(Problem::from_matrix(c.view()), {}, result);
    for (const double gap : {1e-3, 0.0}) {
      const Assignment pairs = solver.round_to_permutation(gap);
      const double optimum = reference_total(c), total = total_of(c, pairs.sigma);
      EXPECT_TRUE(total <= optimum * (1 + gap + 1e-9)) << total << " for " << optimum;
      EXPECT_TRUE(pairs.certificate.dual_bound * 40 <= optimum * (1 + 1e-9));
    }
  }
}

TEST(SinkhornFaults, ForbiddenPairsGetNoMass) {
  Random random(std::random_device{}());
  for (const std::int64_t most_bytes : {std::int64_t{1} << 30, std::int64_t{0}}) {
    Matrix<double> c(33, 37), finite(33, 37);
    for (std::size_t k = 0; k < c.values.size(); ++k) {
      finite.values[k] = c.values[k] = std::uniform_real_distribution<double>(0, 1)(random);
      if (k % 37 == 36 || random() % 3 != 0) continue;  // a column stays that all may go to
      c.values[k] = kInfinity;
      finite.values[k] = 1e4;
    }
    const SinkhornOptions options{
        .epsilon = 0.05, .unit = EpsilonUnit::absolute, .tolerance = 1e-4, .most_bytes = most_bytes};
    SinkhornSolver solver;
    SinkhornResult result;
    solver.solve(Problem::from_matrix(c.view()), options, result);
    EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
    EXPECT_TRUE(result.row_error + result.column_error <= 1.1e-4);
    EXPECT_TRUE(std::fabs(result.transport_cost -
                          solve_sinkhorn(Problem::from_matrix(finite.view()), options).transport_cost) <= 1e-3);
    for (std::uint64_t seed = 0; seed < 5; ++seed)
      for (const Assignment& pairs : {solver.sample_pairs(seed), solver.argmax_pairs()})
        for (std::int64_t i = 0; i < 33; ++i)
          EXPECT_TRUE(std::isfinite(c(i, pairs.sigma[static_cast<std::size_t>(i)])));
    EXPECT_TRUE(std::isfinite(transport_dual_bound(Problem::from_matrix(c.view()), result.g)));
  }
}

template <class Solve>
void expect_refused(const Solve& solve, const std::string& word) {
  try {
    solve();
    ADD_FAILURE() << "not refused: " << word;
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(SinkhornFaults, WhatNoPlanAllowsIsNamed) {
  Matrix<float> c(4, 5);
  const std::vector<double> weights = {1, 1, 0, 1};
  for (std::int64_t j = 0; j < 5; ++j) c(2, j) = std::numeric_limits<float>::infinity();
  const Problem problem = Problem::from_matrix(c.view());
  expect_refused([&] { solve_sinkhorn(problem); }, "row 2");
  const SinkhornResult result = solve_sinkhorn(problem, {.source_weights = weights});
  EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
  for (const double f : result.f) EXPECT_TRUE(std::isfinite(f));
  for (std::int64_t i = 0; i < 4; ++i) c(i, 3) = std::numeric_limits<float>::infinity();
  expect_refused([&] { solve_sinkhorn(problem, {.source_weights = weights}); }, "column 3");
  c(1, 1) = -std::numeric_limits<float>::infinity();
  expect_refused([&] { solve_sinkhorn(problem); }, "[1, 1]");
  c(0, 4) = std::nanf("");
  expect_refused([&] { solve_sinkhorn(problem); }, "[0, 4]");
}

TEST(SinkhornFaults, PrecisionThatDoesNotCarryIsAFailure) {
  Random random(std::random_device{}());
  Matrix<double> c(40, 40);
  for (double& value : c.values) value = std::uniform_real_distribution<double>(0, 1)(random);
  const Problem problem = Problem::from_matrix(c.view());
  for (const double epsilon : {1e7, 1e12, 1e40, 1e300}) {
    const SinkhornResult result = solve_sinkhorn(problem, {.epsilon = epsilon, .tolerance = 1e-7});
    EXPECT_EQ(result.status, SolveStatus::numerical_failure);
    EXPECT_NE(result.message.find("too large"), std::string::npos) << result.message;
    EXPECT_TRUE(std::isnan(result.transport_cost) && std::isnan(result.mass));
  }
  const SinkhornResult large = solve_sinkhorn(problem, {.epsilon = 1e3});
  EXPECT_EQ(large.status, SolveStatus::converged);
  double mean = 0;
  for (const double value : c.values) mean += value / 1600;
  EXPECT_TRUE(std::fabs(large.transport_cost - mean) <= 1e-3 && std::fabs(large.entropic_cost - mean) <= 1e-2)
      << large.transport_cost << " and " << large.entropic_cost << " for " << mean;
  const SinkhornResult cheap = solve_sinkhorn(problem, {.marginal_penalty = 1e-300});
  EXPECT_EQ(cheap.status, SolveStatus::numerical_failure);
  EXPECT_NE(cheap.message.find("marginal_penalty"), std::string::npos) << cheap.message;
  const std::vector<double> heavy(40, 1e20);
  expect_refused([&] { solve_sinkhorn(problem, {.target_weights = heavy, .marginal_penalty = 1}); }, "target_weights");
  EXPECT_EQ(solve_sinkhorn(problem, {.target_weights = heavy}).status, SolveStatus::converged);
}

// Two columns without mass are near everything: they bind nothing.
TEST(SinkhornFaults, ColumnsOfWeight0DoNotEnterTheBound) {
  Random random(std::random_device{}());
  Matrix<double> c(17, 5);
  for (double& value : c.values) value = std::uniform_real_distribution<double>(9, 10)(random);
  for (std::int64_t i = 0; i < 17; ++i) c(i, 1) = c(i, 4) = 0.1;
  const Problem problem = Problem::from_matrix(c.view());
  const std::vector<double> weights = {1, 0, 0, 0, 0};
  const SinkhornResult result = solve_sinkhorn(problem, {.target_weights = weights});
  double only = 0;
  for (std::int64_t i = 0; i < 17; ++i) only += c(i, 0) / 17;
  EXPECT_TRUE(std::fabs(result.transport_cost - only) <= 1e-5);
  EXPECT_TRUE(std::fabs(transport_dual_bound(problem, result.g, {}, weights) - only) <= 1e-9);
}

TEST(SinkhornFaults, NothingToPay) {
  const Matrix<double> zeros(6, 6);
  SinkhornSolver solver;
  SinkhornResult result;
  solver.solve(Problem::from_matrix(zeros.view()), {}, result);
  EXPECT_EQ(result.status, SolveStatus::converged);
  EXPECT_EQ(solver.round_to_permutation().certificate.gap, 0);
  EXPECT_EQ(transport_dual_bound(Problem::from_matrix(zeros.view()), result.g), 0);
}

// The cost of a plan whose marginals are off may lie below the optimum: the certificate's does not.
TEST(SinkhornFaults, AnUnfinishedPlanHasAGapAllTheSame) {
  Random random(std::random_device{}());
  for (const auto& [n, m, d] : {std::tuple{1, 1, 1}, {60, 60, 2}, {37, 90, 5}}) {
    const Matrix<double> x = gaussian<double>(random, n, d), y = gaussian<double>(random, m, d, 1, 1);
    const Problem problem = Problem::from_points(x.view(), y.view());
    std::vector<double> a(static_cast<std::size_t>(n)), b(static_cast<std::size_t>(m));
    double sum_a = 0, sum_b = 0;
    for (double& value : a) sum_a += value = std::uniform_real_distribution<double>(0, 1)(random);
    for (double& value : b) sum_b += value = std::uniform_real_distribution<double>(0, 1)(random);
    for (double& value : b) value *= sum_a / sum_b;
    const double optimum = solve_transport(problem, a, b).primal_cost;
    for (const auto& [iterations, epsilon] : {std::pair{1, 1e-3}, {3, 0.05}, {5000, 0.01}}) {
      SinkhornSolver solver;
      SinkhornResult result;
      solver.solve(problem,
                   {.epsilon = epsilon,
                    .tolerance = 1e-4,
                    .source_weights = a,
                    .target_weights = b,
                    .max_iterations = iterations},
                   result);
      const Certificate bounds = solver.certify_plan();
      EXPECT_FALSE(bounds.is_permutation);
      EXPECT_TRUE(bounds.primal_cost >= optimum * (1 - 1e-12)) << bounds.primal_cost << " for " << optimum;
      EXPECT_TRUE(bounds.dual_bound <= optimum * (1 + 1e-12)) << bounds.dual_bound << " for " << optimum;
      EXPECT_TRUE(std::fabs(bounds.gap - (bounds.primal_cost - bounds.dual_bound) / bounds.primal_cost) <= 1e-12);
      EXPECT_TRUE(bounds.gap >= 0);
      if (iterations == 5000) {
        EXPECT_TRUE(bounds.gap <= 0.2) << bounds.gap;
        EXPECT_TRUE(std::fabs(bounds.primal_cost - result.transport_cost) <= 0.02 * optimum);
      }
    }
  }
  SinkhornSolver solver;
  SinkhornResult result;
  Matrix<double> c(4, 4);
  solver.solve(Problem::from_matrix(c.view()), {}, result);
  EXPECT_EQ(solver.certify_plan().gap, 0);
  solver.solve(Problem::from_matrix(c.view()), {.marginal_penalty = 1}, result);
  EXPECT_TRUE(std::isnan(solver.certify_plan().gap));
}

// A pass over the pairs takes seconds here. Whatever phase it is in, a solve ends within the half second that it has
// for its end; the bound leaves room for a busy machine and for sanitizers.
TEST(SinkhornFaults, StopsInEveryPhase) {
  Random random(5);
  const std::int64_t n = 2500, d = 300;
  const Matrix<float> x = gaussian<float>(random, n, d), y = gaussian<float>(random, n, d);
  const Problem problem = Problem::from_points(x.view(), y.view(), Cost::euclidean);
  const auto start = std::chrono::steady_clock::now();
  SinkhornSolver solver;
  SinkhornResult result;
  std::int64_t calls = 0;
  const SolveWatch watch = [&](const SolveProgress&) { return ++calls < 1; };
  solver.solve(problem, {.epsilon = 1e-4, .most_bytes = 0, .watch = watch}, result);
  EXPECT_EQ(result.status, SolveStatus::interrupted);
  EXPECT_EQ(solver.has_plan(), !std::isnan(result.transport_cost));
  for (const double g : result.g) ASSERT_TRUE(std::isfinite(g));
  const SolveLimits none(1000, 0);
  for (const Assignment& pairs : {solver.argmax_pairs(true, &none), solver.sample_pairs(3, 0, true, &none)})
    EXPECT_NE(pairs.status, SolveStatus::converged);
  EXPECT_TRUE(std::isnan(solver.certify_plan(&none).gap) || solver.has_plan());
  transport_dual_bound(problem, result.g, {}, {}, &none);
  EXPECT_LE(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 30);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace otnfm::test
