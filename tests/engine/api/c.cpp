// The C interface against the C++ one: the same answers, and what is wrong is said and never thrown.
// consumer/transport.c is how it looks from C.
#include "engine/api/c.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ot/auction.h"
#include "ot/exact.h"
#include "ot/sinkhorn.h"
#include "ot/transport.h"

namespace otnfm {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Free {
  void operator()(otnfm_solution* solution) const { otnfm_solution_free(solution); }
};
using Solution = std::unique_ptr<otnfm_solution, Free>;

otnfm_problem problem_of(std::int64_t n, std::int64_t m) {
  otnfm_problem problem;
  std::memset(&problem, 0x5a, sizeof(problem));
  otnfm_problem_init(&problem, sizeof(problem));
  problem.n = n, problem.m = m;
  return problem;
}

otnfm_solve_options usual_options() {
  otnfm_solve_options options;
  std::memset(&options, 0x5a, sizeof(options));
  otnfm_solve_options_init(&options, sizeof(options));
  return options;
}

Solution solve(const otnfm_problem& problem, const otnfm_solve_options& options) {
  otnfm_solution* solution = nullptr;
  otnfm_error error;
  EXPECT_EQ(otnfm_solve(&problem, &options, &solution, &error), OTNFM_OK) << error.text;
  return Solution(solution);
}

otnfm_summary summary_of(const Solution& solution) {
  otnfm_summary summary = {};
  otnfm_solution_summary(solution.get(), &summary, sizeof(summary));
  return summary;
}

void expect_equal(const Solution& got, const Assignment& want) {
  ASSERT_NE(got, nullptr);
  const otnfm_summary summary = summary_of(got);
  const auto n = want.sigma.size(), m = want.g.size();
  EXPECT_EQ(std::vector<std::int64_t>(otnfm_solution_sigma(got.get()), otnfm_solution_sigma(got.get()) + n),
            want.sigma);
  EXPECT_EQ(std::vector<double>(otnfm_solution_f(got.get()), otnfm_solution_f(got.get()) + n), want.f);
  EXPECT_EQ(std::vector<double>(otnfm_solution_g(got.get()), otnfm_solution_g(got.get()) + m), want.g);
  EXPECT_EQ(otnfm_solution_algorithm(got.get()), want.algorithm);
  EXPECT_EQ(summary.primal_cost, want.certificate.primal_cost);
  EXPECT_EQ(summary.dual_bound, want.certificate.dual_bound);
  EXPECT_EQ(summary.gap, want.certificate.gap);
  EXPECT_EQ(summary.is_permutation, want.certificate.is_permutation ? 1 : 0);
  EXPECT_EQ(summary.iterations, want.iterations);
  EXPECT_EQ(summary.status, OTNFM_CONVERGED);
}

template <class T>
std::vector<T> numbers(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values)
    if constexpr (std::is_integral_v<T>)
      value = static_cast<T>(random() % 1000);
    else
      value = static_cast<T>(std::normal_distribution<double>()(random));
  return values;
}

template <class T>
void compare_points(otnfm_dtype dtype) {
  constexpr std::int64_t d = 3, stride = 5;
  for (const auto& [n, m] : {std::pair<std::int64_t, std::int64_t>{40, 40}, {40, 23}, {17, 31}, {0, 5}, {1, 1}}) {
    const std::vector<T> x = numbers<T>(n * d, 1), y = numbers<T>(m * stride, 2);
    View<const T> target(y.data(), {m, d});
    target.stride[0] = stride;
    for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
      const Problem want = Problem::from_points(View<const T>(x.data(), {n, d}), target, cost);
      otnfm_problem problem = problem_of(n, m);
      problem.d = d, problem.source = x.data(), problem.target = y.data(), problem.target_stride = stride;
      problem.dtype = dtype, problem.cost = static_cast<otnfm_cost>(cost);
      otnfm_solve_options options = usual_options();
      expect_equal(solve(problem, options), solve_exact(want));
      options.algorithm = OTNFM_DENSE;
      expect_equal(solve(problem, options), solve_exact(want, {.algorithm = ExactAlgorithm::dense}));
      options.solver = OTNFM_AUCTION;
      options.max_gap = 0.01;
      expect_equal(solve(problem, options), solve_auction(want, {.max_gap = 0.01}));
    }
  }
}

TEST(C, SolvesPointsAsCppDoes) {
  compare_points<float>(OTNFM_FLOAT32);
  compare_points<double>(OTNFM_FLOAT64);
}

template <class T>
void compare_costs(otnfm_dtype dtype) {
  for (const auto& [n, m] : {std::pair<std::int64_t, std::int64_t>{30, 30}, {30, 12}, {8, 31}}) {
    const std::vector<T> costs = numbers<T>(n * m, 3);
    otnfm_problem problem = problem_of(n, m);
    problem.costs = costs.data(), problem.dtype = dtype;
    expect_equal(solve(problem, usual_options()),
                 solve_exact(Problem::from_matrix(View<const T>(costs.data(), {n, m}))));
  }
}

TEST(C, SolvesCostsAsCppDoes) {
  compare_costs<float>(OTNFM_FLOAT32);
  compare_costs<double>(OTNFM_FLOAT64);
  compare_costs<std::int32_t>(OTNFM_INT32);
  compare_costs<std::int64_t>(OTNFM_INT64);
}

TEST(C, SolvesAStackOfProblems) {
  constexpr std::int64_t n = 20, d = 2;
  const std::vector<float> x = numbers<float>(6 * n * d, 4), y = numbers<float>(6 * n * d, 5);
  for (const otnfm_solver solver : {OTNFM_EXACT, OTNFM_AUCTION, OTNFM_SINKHORN}) {
    otnfm_solve_options options = usual_options();
    options.solver = solver;
    std::vector<otnfm_problem> stack(6, problem_of(n, n));
    for (std::size_t b = 0; b < stack.size(); ++b) {
      stack[b].d = d;
      stack[b].source = x.data() + b * n * d, stack[b].target = y.data() + b * n * d;
    }
    std::vector<otnfm_solution*> solutions(stack.size(), nullptr);
    ASSERT_EQ(otnfm_solve_batch(stack.data(), 6, &options, solutions.data(), nullptr), OTNFM_OK) << otnfm_last_error();
    for (std::size_t b = 0; b < stack.size(); ++b) {
      const Solution got(solutions[b]), alone = solve(stack[b], options);
      EXPECT_EQ(summary_of(got).primal_cost, summary_of(alone).primal_cost);
      EXPECT_EQ(std::memcmp(otnfm_solution_sigma(got.get()), otnfm_solution_sigma(alone.get()), n * 8), 0);
    }
    stack[4].n = -1;
    solutions.assign(stack.size(), reinterpret_cast<otnfm_solution*>(8));
    EXPECT_EQ(otnfm_solve_batch(stack.data(), 6, &options, solutions.data(), nullptr), OTNFM_INPUT_ERROR);
    EXPECT_EQ(solutions, std::vector<otnfm_solution*>(stack.size(), nullptr));
  }
  EXPECT_EQ(otnfm_solve_batch(nullptr, 0, nullptr, nullptr, nullptr), OTNFM_OK);
}

TEST(C, GivesSinkhornsPlan) {
  constexpr std::int64_t n = 24, m = 15, d = 2;
  const std::vector<double> x = numbers<double>(n * d, 6), y = numbers<double>(m * d, 7);
  std::vector<double> a(n), b(m);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = 1.0 + static_cast<double>(i);
  for (std::size_t j = 0; j < b.size(); ++j) b[j] = static_cast<double>(j % 3);  // some have none
  for (const double penalty : {kInfinity, 1.0})
    for (const bool weighted : {false, true}) {
      otnfm_problem problem = problem_of(n, m);
      problem.d = d, problem.source = x.data(), problem.target = y.data(), problem.dtype = OTNFM_FLOAT64;
      if (weighted) problem.source_weights = a.data(), problem.target_weights = b.data();
      otnfm_solve_options options = usual_options();
      options.solver = OTNFM_SINKHORN;
      options.epsilon = 0.1, options.epsilon_unit = OTNFM_ABSOLUTE, options.tolerance = 1e-5;
      options.marginal_penalty = penalty;
      const Solution got = solve(problem, options);
      const Problem same =
          Problem::from_points(View<const double>(x.data(), {n, d}), View<const double>(y.data(), {m, d}));
      SinkhornOptions wanted{.epsilon = 0.1, .unit = EpsilonUnit::absolute, .tolerance = 1e-5};
      wanted.marginal_penalty = penalty;
      if (weighted) wanted.source_weights = a, wanted.target_weights = b;
      const SinkhornResult want = solve_sinkhorn(same, wanted);
      const otnfm_summary summary = summary_of(got);
      EXPECT_EQ(summary.transport_cost, want.transport_cost);
      EXPECT_EQ(summary.entropic_cost, want.entropic_cost);
      EXPECT_EQ(summary.mass, want.mass);
      EXPECT_EQ(summary.epsilon, 0.1);
      EXPECT_EQ(summary.iterations, want.iterations);
      if (penalty == kInfinity) {
        EXPECT_NEAR(summary.primal_cost, want.transport_cost, 1e-4);  // of the plan with its marginals exactly
        EXPECT_LE(summary.dual_bound, summary.primal_cost);
        EXPECT_GT(summary.dual_bound, 0);
      } else {
        EXPECT_EQ(summary.primal_cost, want.transport_cost);
        EXPECT_TRUE(std::isnan(summary.dual_bound) && std::isnan(summary.gap));
      }
      double mass = 0, cost = 0;
      std::vector<double> row(m);
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(otnfm_solution_plan_row(got.get(), i, row.data(), nullptr), OTNFM_OK);
        std::int64_t largest = 0;
        for (std::int64_t j = 0; j < m; ++j) {
          double square = 0;
          for (std::int64_t k = 0; k < d; ++k) square += std::pow(x[i * d + k] - y[j * d + k], 2);
          mass += row[j], cost += row[j] * square;
          if (weighted && j % 3 == 0) {
            EXPECT_EQ(row[j], 0);
          }
          if (row[j] > row[largest]) largest = j;
        }
        EXPECT_GE(row[otnfm_solution_sigma(got.get())[i]], row[largest] * (1 - 1e-5));
      }
      EXPECT_NEAR(mass, want.mass, 1e-6 * want.mass);
      EXPECT_NEAR(cost, want.transport_cost, 1e-5 * (1 + want.transport_cost));
    }
}

TEST(C, GivesTheExactPlanBetweenWeights) {
  constexpr std::int64_t n = 30, m = 21, d = 2;
  const std::vector<float> x = numbers<float>(n * d, 11), y = numbers<float>(m * d, 12);
  std::vector<double> a(n, 0.5), b(m, 0.0);
  for (std::size_t j = 0; j < b.size(); ++j) b[j] = j == 4 ? 0 : 15.0 / 20;
  otnfm_problem problem = problem_of(n, m);
  problem.d = d, problem.source = x.data(), problem.target = y.data();
  problem.source_weights = a.data(), problem.target_weights = b.data();
  otnfm_solve_options options = usual_options();
  const Solution got = solve(problem, options);
  const Transport want = solve_transport(
      Problem::from_points(View<const float>(x.data(), {n, d}), View<const float>(y.data(), {m, d})), a, b);
  const otnfm_summary summary = summary_of(got);
  EXPECT_EQ(summary.status, OTNFM_CONVERGED);
  EXPECT_EQ(summary.primal_cost, want.primal_cost);
  EXPECT_EQ(summary.dual_bound, want.dual_bound);
  EXPECT_EQ(summary.gap, want.gap);
  EXPECT_EQ(summary.mass, 15);
  const std::int64_t *rows, *columns;
  const double* mass;
  const std::int64_t entries = otnfm_solution_entries(got.get(), &rows, &columns, &mass);
  EXPECT_EQ(std::vector<std::int64_t>(rows, rows + entries), want.rows);
  EXPECT_EQ(std::vector<std::int64_t>(columns, columns + entries), want.columns);
  EXPECT_EQ(std::vector<double>(mass, mass + entries), want.mass);
  std::vector<double> row(m), of_columns(m, 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    ASSERT_EQ(otnfm_solution_plan_row(got.get(), i, row.data(), nullptr), OTNFM_OK);
    double sum = 0;
    for (std::size_t j = 0; j < row.size(); ++j) sum += row[j], of_columns[j] += row[j];
    EXPECT_NEAR(sum, 0.5, 1e-12);
    EXPECT_EQ(row[static_cast<std::size_t>(otnfm_solution_sigma(got.get())[i])],
              *std::max_element(row.begin(), row.end()));
  }
  for (std::size_t j = 0; j < b.size(); ++j) EXPECT_NEAR(of_columns[j], b[j], 1e-12);
  // In a stack beside one without weights.
  otnfm_problem stack[2] = {problem, problem};
  stack[1].source_weights = stack[1].target_weights = nullptr;
  otnfm_solution* both[2];
  ASSERT_EQ(otnfm_solve_batch(stack, 2, &options, both, nullptr), OTNFM_OK);
  const Solution first(both[0]), second(both[1]);
  EXPECT_EQ(summary_of(first).primal_cost, want.primal_cost);
  expect_equal(second, solve_exact(Problem::from_points(View<const float>(x.data(), {n, d}),
                                                        View<const float>(y.data(), {m, d}))));
  b[0] = 4;
  otnfm_solution* none = nullptr;
  otnfm_error error;
  EXPECT_EQ(otnfm_solve(&problem, &options, &none, &error), OTNFM_INPUT_ERROR) << "masses that do not agree";
  EXPECT_EQ(none, nullptr);
}

TEST(C, GivesPairsOfEveryKind) {
  constexpr std::int64_t n = 30, d = 2;
  const std::vector<float> x = numbers<float>(n * d, 8), y = numbers<float>(n * d, 9);
  otnfm_problem problem = problem_of(n, n);
  problem.d = d, problem.source = x.data(), problem.target = y.data();
  otnfm_solve_options options = usual_options();
  options.solver = OTNFM_SINKHORN;
  const Solution permutation = solve(problem, options);
  EXPECT_EQ(summary_of(permutation).is_permutation, 1);
  EXPECT_LE(summary_of(permutation).gap, 1e-3);
  options.pairs = OTNFM_PAIRS_SAMPLED;
  options.seed = 3;
  const Solution sampled = solve(problem, options), again = solve(problem, options);
  EXPECT_EQ(std::memcmp(otnfm_solution_sigma(sampled.get()), otnfm_solution_sigma(again.get()), n * 8), 0);
  options.seed = 4;
  const Solution others = solve(problem, options);
  EXPECT_NE(std::memcmp(otnfm_solution_sigma(sampled.get()), otnfm_solution_sigma(others.get()), n * 8), 0);
  options.certify = 0;
  EXPECT_TRUE(std::isnan(summary_of(solve(problem, options)).gap));
}

TEST(C, SaysWhatAnUnprovenAnswerIs) {
  constexpr std::int64_t n = 41, d = 3;
  const std::vector<float> x = numbers<float>(n * d, 21), y = numbers<float>(n * d, 22);
  std::vector<double> weights(n, 2.0);
  weights[7] = 5;
  for (const otnfm_solver solver : {OTNFM_EXACT, OTNFM_AUCTION, OTNFM_SINKHORN})
    for (const bool weighted : {false, true}) {
      if (weighted && solver == OTNFM_AUCTION) continue;
      otnfm_problem problem = problem_of(n, n);
      problem.d = d, problem.source = x.data(), problem.target = y.data();
      if (weighted) problem.source_weights = weights.data();
      otnfm_solve_options options = usual_options();
      options.solver = solver;
      const Solution proven = solve(problem, options);
      options.certify = 0;
      const Solution unproven = solve(problem, options);
      const otnfm_summary with = summary_of(proven), without = summary_of(unproven);
      EXPECT_EQ(without.is_permutation, weighted ? 0 : 1) << solver;
      EXPECT_EQ(without.is_permutation, with.is_permutation) << solver;
      EXPECT_NEAR(without.primal_cost, with.primal_cost, 1e-2 * with.primal_cost) << solver;
      EXPECT_TRUE(std::isnan(without.dual_bound) && std::isnan(without.gap)) << solver;
      EXPECT_LE(without.marginal_error, 1e-3) << solver;
      EXPECT_EQ(without.certificate_seconds, 0) << solver;
    }
}

TEST(C, HasNoPlanThatNobodyComputed) {
  // So many numbers that one thread does not come to a first plan in the half second that a limit leaves it.
  constexpr std::int64_t n = 6000, d = 2500;
  const std::vector<float> x = numbers<float>(n * d, 23);
  otnfm_problem problem = problem_of(n, n);
  problem.d = d, problem.source = x.data(), problem.target = x.data();
  otnfm_solve_options options = usual_options();
  options.solver = OTNFM_SINKHORN;
  options.max_seconds = 0, options.threads = 1;
  const Solution ended = solve(problem, options);
  EXPECT_EQ(summary_of(ended).status, OTNFM_TIME_LIMIT);
  EXPECT_TRUE(std::isnan(summary_of(ended).primal_cost));
  std::vector<double> row(n);
  EXPECT_EQ(otnfm_solution_plan_row(ended.get(), 0, row.data(), nullptr), OTNFM_RUN_ERROR);
}

TEST(C, HeedsLimitsAndTheCallersWord) {
  constexpr std::int64_t n = 60;
  const std::vector<double> costs = numbers<double>(n * n, 10);
  otnfm_problem problem = problem_of(n, n);
  problem.costs = costs.data(), problem.dtype = OTNFM_FLOAT64;
  for (const otnfm_solver solver : {OTNFM_EXACT, OTNFM_AUCTION, OTNFM_SINKHORN}) {
    otnfm_solve_options options = usual_options();
    options.solver = solver;
    options.pairs = OTNFM_PAIRS_ARGMAX;
    options.tolerance = 1e-7, options.epsilon = 1e-3;
    options.max_iterations = 0;
    const Solution solution = solve(problem, options);
    const otnfm_summary summary = summary_of(solution);
    EXPECT_EQ(summary.status, OTNFM_ITERATION_LIMIT) << solver;
    EXPECT_LE(summary.dual_bound, summary_of(solve(problem, usual_options())).primal_cost + 1e-9) << solver;
  }
}

TEST(C, SaysWhatIsWrongAndThrowsNothing) {
  const std::vector<float> x(12, 1.0f);
  const otnfm_solve_options usual = usual_options();
  otnfm_problem good = problem_of(4, 4);
  good.d = 2, good.source = x.data(), good.target = x.data();
  const auto expect_refused = [&](const otnfm_problem& problem, const otnfm_solve_options& options, const char* part) {
    otnfm_solution* solution = reinterpret_cast<otnfm_solution*>(8);
    otnfm_error error;
    EXPECT_EQ(otnfm_solve(&problem, &options, &solution, &error), OTNFM_INPUT_ERROR) << part;
    EXPECT_EQ(solution, nullptr) << part;
    EXPECT_NE(std::string(error.text).find(part), std::string::npos) << error.text;
    EXPECT_STREQ(otnfm_last_error(), error.text);
  };
  const auto problem = [&](auto change) {
    otnfm_problem changed = good;
    change(changed);
    return changed;
  };
  const auto options = [&](auto change) {
    otnfm_solve_options changed = usual;
    change(changed);
    return changed;
  };
  EXPECT_NE(solve(good, usual), nullptr);
  expect_refused(problem([](auto& p) { p.size = 0; }), usual, "otnfm_problem_init()");
  expect_refused(problem([](auto& p) { p.n = -3; }), usual, "[-3, 2]");
  expect_refused(problem([](auto& p) { p.source = nullptr; }), usual, "source [4, 2] is null");
  expect_refused(problem([](auto& p) { p.target_stride = 1; }), usual, "row stride is 1");
  expect_refused(problem([](auto& p) { p.costs = p.source; }), usual, "either points or costs");
  expect_refused(problem([](auto& p) { p.dtype = static_cast<otnfm_dtype>(9); }), usual, "dtype 9");
  expect_refused(problem([](auto& p) { p.dtype = OTNFM_INT32; }), usual, "int32");
  expect_refused(problem([](auto& p) { p.cost = static_cast<otnfm_cost>(-1); }), usual, "cost -1");
  const std::vector<double> weights(4, 1.0);
  const otnfm_problem weighted = problem([&](auto& p) { p.source_weights = weights.data(); });
  expect_refused(weighted, options([](auto& o) { o.solver = OTNFM_AUCTION; }), "OTNFM_EXACT and OTNFM_SINKHORN");
  expect_refused(weighted, options([](auto& o) { o.algorithm = OTNFM_DENSE; }), "algorithm");

  expect_refused(good, options([](auto& o) { o.size = 1; }), "otnfm_solve_options_init()");
  expect_refused(good, options([](auto& o) { o.solver = static_cast<otnfm_solver>(3); }), "solver 3");
  expect_refused(good, options([](auto& o) { o.algorithm = static_cast<otnfm_algorithm>(4); }), "algorithm 4");
  expect_refused(good, options([](auto& o) { o.threads = -1; }), "threads");
  expect_refused(good, options([](auto& o) { o.max_gap = std::nan(""); }), "max_gap");
  expect_refused(good, options([](auto& o) { o.max_seconds = std::nan(""); }), "max_seconds");
  expect_refused(good, options([&](auto& o) { o.initial_g = weights.data(); }), "initial_g");
  expect_refused(good, options([](auto& o) { o.solver = OTNFM_SINKHORN, o.epsilon = -1; }), "epsilon");
  std::vector<float> wrong = x;
  wrong[5] = std::nanf("");
  expect_refused(problem([&](auto& p) { p.target = wrong.data(); }), usual, "target holds nan at [2, 1]");
  EXPECT_EQ(otnfm_solve(nullptr, nullptr, nullptr, nullptr), OTNFM_INPUT_ERROR);
  std::thread([] { EXPECT_STREQ(otnfm_last_error(), ""); }).join();  // each thread has its own
}

TEST(C, SpeaksWithProgramsOfOtherVersions) {
  // An older program's struct is shorter: it ends before `seed`, say; a newer one's is longer, and its rest is 0 unless
  // it says something.
  const std::vector<float> x(12, 1.0f);
  struct {
    otnfm_solve_options known;
    std::int64_t unknown;
  } newer;
  otnfm_problem problem = problem_of(4, 4);
  problem.d = 2, problem.source = x.data(), problem.target = x.data();
  otnfm_solution* solution = nullptr;
  newer.unknown = 5;
  otnfm_solve_options_init(&newer.known, sizeof(newer));
  EXPECT_EQ(newer.unknown, 0);
  EXPECT_EQ(newer.known.size, sizeof(newer));
  EXPECT_EQ(otnfm_solve(&problem, &newer.known, &solution, nullptr), OTNFM_OK);
  otnfm_solution_free(solution);
  newer.unknown = 1;
  EXPECT_EQ(otnfm_solve(&problem, &newer.known, &solution, nullptr), OTNFM_INPUT_ERROR);
  otnfm_solve_options older = usual_options();
  older.seed = 77;
  otnfm_solve_options_init(&older, offsetof(otnfm_solve_options, seed));
  EXPECT_EQ(older.seed, 77u) << "beyond the size that was given nothing is written";
  EXPECT_EQ(otnfm_solve(&problem, &older, &solution, nullptr), OTNFM_OK);
  otnfm_summary summary;
  summary.mass = 8;
  otnfm_solution_summary(solution, &summary, offsetof(otnfm_summary, mass));
  EXPECT_EQ(summary.mass, 8);
  EXPECT_EQ(summary.gap, 0);
  otnfm_solution_free(solution);
}

TEST(C, CertifiesTheCallersPairs) {
  const std::vector<double> costs = {1, 5, 5, 1};
  otnfm_problem problem = problem_of(2, 2);
  problem.costs = costs.data(), problem.dtype = OTNFM_FLOAT64;
  const std::vector<std::int64_t> right = {0, 1}, wrong = {1, 0};
  const std::vector<double> g = {0, 0};
  otnfm_certificate proof;
  ASSERT_EQ(otnfm_certify(&problem, right.data(), g.data(), 1, &proof, nullptr), OTNFM_OK);
  EXPECT_EQ(proof.primal_cost, 1);
  EXPECT_LE(proof.gap, 1e-15);
  ASSERT_EQ(otnfm_certify(&problem, wrong.data(), g.data(), 1, &proof, nullptr), OTNFM_OK);
  EXPECT_EQ(proof.primal_cost, 5);
  EXPECT_LE(proof.dual_bound, 1);
  EXPECT_GE(proof.dual_bound, 1 - 1e-15);
  EXPECT_EQ(otnfm_certify(&problem, nullptr, g.data(), 1, &proof, nullptr), OTNFM_INPUT_ERROR);
}

}  // namespace
}  // namespace otnfm
