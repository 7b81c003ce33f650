// Sinkhorn against a plain log-domain iteration in double that runs to its fixed point, and its pairs against the exact
// solver's optimum.
#include "ot/sinkhorn.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "ot/exact.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

struct Reference {
  Matrix<double> plan;
  double cost = 0, mass = 0, objective = 0;  // the last: what the plan minimises
};

// sum p log(p / q) - p + q, one term.
double divergence(double p, double q) {
  return p > 0 ? p * std::log(p / q) - p + q : q;
}

// f_i = -damping epsilon log sum_j b_j exp((g_j - C_ij) / epsilon), and g likewise, until nothing moves.
Reference reference_plan(const Matrix<double>& c, const std::vector<double>& a, const std::vector<double>& b,
                         double epsilon, double rho = std::numeric_limits<double>::infinity()) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const double damping = std::isinf(rho) ? 1 : rho / (rho + epsilon);
  std::vector<double> f(a.size(), 0), g(b.size(), 0);
  double moved = 1;
  for (int iteration = 0; iteration < 100000 && moved > 1e-12; ++iteration) {
    moved = 0;
    const auto update = [&](std::vector<double>& to, const std::vector<double>& from, const std::vector<double>& weight,
                            const auto& cost) {
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(to.size()); ++i) {
        double highest = -std::numeric_limits<double>::infinity(), sum = 0;
        for (std::int64_t j = 0; j < static_cast<std::int64_t>(from.size()); ++j)
          if (weight[at(j)] > 0) highest = std::max(highest, (from[at(j)] - cost(i, j)) / epsilon);
        for (std::int64_t j = 0; j < static_cast<std::int64_t>(from.size()); ++j)
          sum += weight[at(j)] * std::exp(std::min(0.0, (from[at(j)] - cost(i, j)) / epsilon - highest));
        const double next = -damping * epsilon * (highest + std::log(sum));
        moved = std::max(moved, std::fabs(next - to[at(i)]) / epsilon);
        to[at(i)] = next;
      }
    };
    update(f, g, b, [&](std::int64_t i, std::int64_t j) { return c(i, j); });
    update(g, f, a, [&](std::int64_t j, std::int64_t i) { return c(i, j); });
  }
  Reference reference{Matrix<double>(c.rows, c.columns)};
  std::vector<double> rows(a.size(), 0), columns(b.size(), 0);
  for (std::int64_t i = 0; i < c.rows; ++i)
    for (std::int64_t j = 0; j < c.columns; ++j) {
      const double p = a[at(i)] * b[at(j)] * std::exp((f[at(i)] + g[at(j)] - c(i, j)) / epsilon);
      reference.plan(i, j) = p;
      reference.cost += p * c(i, j);
      reference.mass += p;
      reference.objective += p * c(i, j) + epsilon * divergence(p, a[at(i)] * b[at(j)]);
      rows[at(i)] += p;
      columns[at(j)] += p;
    }
  if (std::isfinite(rho)) {
    for (std::size_t i = 0; i < a.size(); ++i) reference.objective += rho * divergence(rows[i], a[i]);
    for (std::size_t j = 0; j < b.size(); ++j) reference.objective += rho * divergence(columns[j], b[j]);
  }
  return reference;
}

std::vector<double> random_weights(Random& random, std::int64_t n) {
  std::vector<double> weights(static_cast<std::size_t>(n));
  double sum = 0;
  for (double& value : weights) sum += value = std::uniform_real_distribution<double>(0.1, 2)(random);
  for (double& value : weights) value /= sum;
  return weights;
}

// The plan of the result, in double from its potentials, against the reference's, in total variation.
void expect_plan(const Matrix<double>& c, const std::vector<double>& a, const std::vector<double>& b,
                 const SinkhornResult& result, const Reference& reference, double tolerance) {
  EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
  double apart = 0, cost = 0, rows = 0;
  std::vector<double> columns(b.size(), 0);
  for (std::int64_t i = 0; i < c.rows; ++i) {
    double row = 0;
    for (std::int64_t j = 0; j < c.columns; ++j) {
      const auto at_i = static_cast<std::size_t>(i), at_j = static_cast<std::size_t>(j);
      const double p = a[at_i] * b[at_j] * std::exp((result.f[at_i] + result.g[at_j] - c(i, j)) / result.epsilon);
      apart += std::fabs(p - reference.plan(i, j));
      cost += p * c(i, j);
      row += p;
      columns[at_j] += p;
    }
    rows += std::fabs(row - a[static_cast<std::size_t>(i)]);
  }
  double column_error = 0;
  for (std::size_t j = 0; j < b.size(); ++j) column_error += std::fabs(columns[j] - b[j]);
  EXPECT_TRUE(apart <= tolerance) << "total variation " << apart;
  double size = 0;
  for (const double value : c.values) size = std::max(size, std::fabs(value));
  EXPECT_TRUE(std::fabs(result.transport_cost - cost) <= 1e-5 * size) << result.transport_cost << " for " << cost;
  EXPECT_TRUE(std::fabs(result.entropic_cost - reference.objective) <= 1e-4 * size)
      << result.entropic_cost << " for " << reference.objective;
  EXPECT_TRUE(std::fabs(result.row_error - rows) <= 2e-5 + result.rounding);
  EXPECT_TRUE(std::fabs(result.column_error - column_error) <= 2e-5 + result.rounding);
}

TEST(Sinkhorn, EqualsDoubleReference) {
  Random random(std::random_device{}());
  for (const auto& [n, m] : {std::pair{1, 1}, {1, 7}, {31, 31}, {33, 17}, {16, 67}, {71, 130}})
    for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot})
      for (const bool weighted : {false, true})
        for (const bool mixing : {false, true}) {
          SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + " " + name_of(cost) + " mixing " +
                       std::to_string(mixing));
          const Matrix<double> x = gaussian<double>(random, n, 3, 1, 5), y = gaussian<double>(random, m, 3, 0.7, -4);
          const Matrix<double> c = cost_matrix(x, y, cost);
          const auto a =
              weighted ? random_weights(random, n) : std::vector<double>(static_cast<std::size_t>(n), 1.0 / n);
          const auto b =
              weighted ? random_weights(random, m) : std::vector<double>(static_cast<std::size_t>(m), 1.0 / m);
          SinkhornOptions options{.epsilon = 0.2, .tolerance = 2e-5, .mixing = mixing};
          if (weighted) {
            options.source_weights = a;
            options.target_weights = b;
          }
          const SinkhornResult points = solve_sinkhorn(Problem::from_points(x.view(), y.view(), cost), options);
          const Reference reference = reference_plan(c, a, b, points.epsilon);
          expect_plan(c, a, b, points, reference, 2e-3);
          options.epsilon = points.epsilon;
          options.unit = EpsilonUnit::absolute;
          const SinkhornResult matrix = solve_sinkhorn(Problem::from_matrix(c.view()), options);
          expect_plan(c, a, b, matrix, reference, 2e-3);
          if (!mixing) {
            options.relaxation = 1.6;
            expect_plan(c, a, b, solve_sinkhorn(Problem::from_matrix(c.view()), options), reference, 2e-3);
            options.relaxation = 1;
          }
          options.most_bytes = 0;  // blocks of rows computed anew
          expect_plan(c, a, b, solve_sinkhorn(Problem::from_points(x.view(), y.view(), cost), options), reference,
                      2e-3);
        }
}

TEST(Sinkhorn, UnbalancedEqualsDoubleReference) {
  Random random(std::random_device{}());
  for (const auto& [rho, source_mass, target_mass] : {std::tuple{0.1, 1.0, 1.0}, {1.0, 1.0, 2.0}, {100.0, 0.3, 5.0}}) {
    SCOPED_TRACE(rho);
    const Matrix<double> x = gaussian<double>(random, 23, 2), y = gaussian<double>(random, 37, 2, 1, 0.5);
    const Matrix<double> c = cost_matrix(x, y, Cost::squared_euclidean);
    std::vector<double> a = random_weights(random, 23), b = random_weights(random, 37);
    for (double& mass : a) mass *= source_mass;
    for (double& mass : b) mass *= target_mass;
    const SinkhornResult result =
        solve_sinkhorn(Problem::from_points(x.view(), y.view()), {.epsilon = 0.3,
                                                                  .unit = EpsilonUnit::absolute,
                                                                  .tolerance = 1e-5,
                                                                  .source_weights = a,
                                                                  .target_weights = b,
                                                                  .marginal_penalty = rho});
    const Reference reference = reference_plan(c, a, b, 0.3, rho);
    expect_plan(c, a, b, result, reference, 2e-3);
    EXPECT_TRUE(std::fabs(result.mass - reference.mass) <= 1e-3 * reference.mass);
  }
}

// Down to 1e-4 of the mean cost, where exponents reach 1e4: from points and from the matrix.
TEST(Sinkhorn, SmallEpsilonWithoutNaN) {
  Random random(std::random_device{}());
  const std::int64_t n = 1000;
  for (const std::int64_t d : {2, 64}) {
    SCOPED_TRACE(d);
    const Matrix<float> x = gaussian<float>(random, n, d), y = gaussian<float>(random, n, d, 1, d == 2 ? 30 : 0.5);
    const Problem points = Problem::from_points(x.view(), y.view());
    const Matrix<double> c = cost_matrix(x, y, Cost::squared_euclidean);
    const double optimum = solve_exact(points).certificate.primal_cost;
    for (const Problem& problem : {points, Problem::from_matrix(c.view())}) {
      const SinkhornResult result =
          solve_sinkhorn(problem, {.epsilon = 1e-4, .unit = EpsilonUnit::mean_cost, .max_iterations = 20000});
      for (const double value : result.f) ASSERT_TRUE(std::isfinite(value));
      for (const double value : result.g) ASSERT_TRUE(std::isfinite(value));
      EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
      EXPECT_TRUE(result.row_error + result.column_error <= 1e-3 + 2 * result.rounding);
      EXPECT_TRUE(result.rounding <= 1e-3);
      // The plan's cost is at most epsilon log n above the optimum; a marginal error moves it by so much of the largest
      // cost.
      double largest = 0;
      for (const double value : c.values) largest = std::max(largest, value);
      EXPECT_TRUE(std::fabs(result.transport_cost - optimum) <= result.epsilon * std::log(n) + 1e-3 * largest)
          << result.transport_cost << " for " << optimum;
      EXPECT_TRUE(transport_dual_bound(problem, result.g) <= optimum * (1 + 1e-9));
    }
  }
}

// Where even exponents relative to the potentials cannot be held, the solve says so, and there is no plan to read.
TEST(Sinkhorn, ReportsAnEpsilonBelowRounding) {
  Random random(std::random_device{}());
  const Matrix<float> x = gaussian<float>(random, 61, 2), y = gaussian<float>(random, 61, 2, 1, 30);
  for (const double epsilon : {1e-15, 1e-17, 1e-300}) {
    SCOPED_TRACE(epsilon);
    SinkhornSolver solver;
    SinkhornResult result;
    solver.solve(Problem::from_points(x.view(), y.view()), {.epsilon = epsilon, .unit = EpsilonUnit::mean_cost},
                 result);
    EXPECT_EQ(result.status, SolveStatus::numerical_failure);
    EXPECT_NE(result.message.find("epsilon"), std::string::npos) << result.message;
    EXPECT_THROW(solver.argmax_pairs(), InputError);
    EXPECT_THROW(solver.round_to_permutation(), InputError);
  }
}

TEST(Sinkhorn, ScalesTiesAndConstants) {
  Random random(std::random_device{}());
  for (const double scale : {1e-10, 1.0, 1e20}) {
    Matrix<double> c(29, 29);
    for (double& value : c.values) value = scale * static_cast<double>(random() % 2);
    const SinkhornResult binary = solve_sinkhorn(Problem::from_matrix(c.view()), {.epsilon = 0.3});
    EXPECT_EQ(binary.status, SolveStatus::converged);
    EXPECT_TRUE(binary.transport_cost >= -1e-6 * scale && binary.transport_cost <= scale);
    std::fill(c.values.begin(), c.values.end(), -7.25 * scale);
    SinkhornSolver solver;
    SinkhornResult constant;
    solver.solve(Problem::from_matrix(c.view()), {}, constant);
    EXPECT_EQ(constant.status, SolveStatus::converged);
    EXPECT_TRUE(std::fabs(constant.transport_cost + 7.25 * scale) <= 1e-5 * scale);
    EXPECT_TRUE(one_to_one(solver.round_to_permutation().sigma, 29));
    const Matrix<double> x = gaussian<double>(random, 33, 3, std::sqrt(scale));
    EXPECT_EQ(solve_sinkhorn(Problem::from_points(x.view(), x.view()), {.epsilon = 0.1}).status,
              SolveStatus::converged);
  }
}

// Entries that forbid a pair are as large as the type allows; what is left has a plan all the same.
TEST(Sinkhorn, SentinelsCarryNoMass) {
  Random random(std::random_device{}());
  for (const double sentinel : {1e9, 1e30}) {
    SCOPED_TRACE(sentinel);
    Matrix<double> c(31, 31);
    for (double& value : c.values) value = std::uniform_real_distribution<double>(0, 1)(random);
    for (std::int64_t i = 0; i < 31; ++i)
      for (const std::int64_t shift : {3, 11}) c(i, (i + shift) % 31) = sentinel;
    SinkhornSolver solver;
    SinkhornResult result;
    solver.solve(Problem::from_matrix(c.view()), {.epsilon = 0.1, .unit = EpsilonUnit::absolute}, result);
    EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
    EXPECT_TRUE(result.transport_cost >= 0 && result.transport_cost <= 1);
    const Assignment pairs = solver.round_to_permutation();
    EXPECT_TRUE(std::fabs(total_of(c, pairs.sigma) - reference_total(c)) <= 1e-9);
  }
}

TEST(Sinkhorn, DuplicatesAndIdenticalClouds) {
  Random random(std::random_device{}());
  Matrix<double> x = gaussian<double>(random, 64, 3);
  for (std::int64_t i = 0; i < 32; ++i)
    for (std::int64_t k = 0; k < 3; ++k) x(32 + i, k) = x(i, k);
  SinkhornSolver solver;
  SinkhornResult result;
  // Below the gaps between costs the updates are as slow as an auction's bids where two points are near: one problem in
  // some hundred then takes thousands.
  for (const double epsilon : {0.2, 1e-3}) {
    solver.solve(Problem::from_points(x.view(), x.view()), {.epsilon = epsilon, .max_iterations = 100000}, result);
    EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
    const Assignment pairs = solver.round_to_permutation();
    EXPECT_TRUE(pairs.certificate.is_permutation);
    EXPECT_TRUE(std::fabs(pairs.certificate.primal_cost) <= 1e-12);
  }
}

TEST(Sinkhorn, EmptyInvalidAndCapped) {
  const Matrix<float> none(0, 2), two(2, 2);
  SinkhornSolver solver;
  SinkhornResult result;
  solver.solve(Problem::from_points(none.view(), two.view()), {}, result);
  EXPECT_EQ(result.status, SolveStatus::converged);
  EXPECT_EQ(result.g.size(), 2u);
  EXPECT_TRUE(solver.sample_pairs(1).sigma.empty());
  Random random(3);
  Matrix<float> x = gaussian<float>(random, 40, 2);
  const Matrix<float> y = gaussian<float>(random, 40, 2);
  const Problem problem = Problem::from_points(x.view(), y.view());
  EXPECT_THROW(solve_sinkhorn(problem, {.epsilon = 0}), InputError);
  EXPECT_THROW(solve_sinkhorn(problem, {.epsilon = std::nan("")}), InputError);
  EXPECT_THROW(solve_sinkhorn(problem, {.tolerance = -1}), InputError);
  EXPECT_THROW(solve_sinkhorn(problem, {.threads = -1}), InputError);
  EXPECT_THROW(solve_sinkhorn(problem, {.annealing_factor = 1}), InputError);
  EXPECT_THROW(SinkhornSolver().sample_pairs(1), InputError);
  const std::vector<double> short_weights(3, 1.0), negative(40, -1.0);
  EXPECT_THROW(solve_sinkhorn(problem, {.source_weights = short_weights}), InputError);
  EXPECT_THROW(solve_sinkhorn(problem, {.target_weights = negative}), InputError);
  EXPECT_THROW(solve_sinkhorn(problem, {.initial_g = short_weights}), InputError);
  std::vector<double> not_finite(40, 0.0);
  not_finite[7] = std::numeric_limits<double>::infinity();
  EXPECT_THROW(solve_sinkhorn(problem, {.initial_g = not_finite}), InputError);
  solver.solve(Problem::from_points(two.view(), x.view()), {}, result);
  EXPECT_THROW(solver.round_to_permutation(), InputError);  // 2 rows, 40 columns
  const std::vector<double> weights(40, 2.0);
  solver.solve(problem, {.source_weights = weights}, result);
  EXPECT_THROW(solver.round_to_permutation(), InputError);
  const SinkhornOptions hard{.epsilon = 1e-4, .tolerance = 1e-9, .max_iterations = 5};
  const SinkhornResult capped = solve_sinkhorn(problem, hard);
  EXPECT_EQ(capped.status, SolveStatus::iteration_limit);
  EXPECT_EQ(capped.iterations, 5);
  EXPECT_EQ(solve_sinkhorn(problem, {.max_seconds = 0}).status, SolveStatus::time_limit);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    x(7, 1) = bad;
    EXPECT_THROW(solve_sinkhorn(problem), InputError);
    if (std::isnan(bad)) {
      EXPECT_THROW(solve_sinkhorn(Problem::from_matrix(x.view())), InputError);
    }
  }
}

TEST(Sinkhorn, WarmStartAndThreads) {
  Random random(std::random_device{}());
  const Matrix<float> x = gaussian<float>(random, 150, 5), y = gaussian<float>(random, 190, 5);
  const Problem problem = Problem::from_points(x.view(), y.view());
  SinkhornSolver one, two;
  SinkhornResult cold, other;
  one.solve(problem, {.threads = 1}, cold);
  two.solve(problem, {.threads = 2}, other);
  EXPECT_EQ(cold.f, other.f);  // the same bits
  EXPECT_EQ(cold.g, other.g);
  EXPECT_EQ(one.sample_pairs(5, 6).sigma, two.sample_pairs(5, 6).sigma);
  EXPECT_NE(one.sample_pairs(5, 6).sigma, two.sample_pairs(5, 7).sigma);
  const SinkhornResult warm = solve_sinkhorn(problem, {.initial_g = cold.g});
  EXPECT_EQ(warm.status, SolveStatus::converged);
  EXPECT_TRUE(warm.iterations <= 2) << warm.iterations;
}

TEST(Sinkhorn, CTransformIsTheLeastReducedCost) {
  Random random(std::random_device{}());
  const Matrix<float> x = gaussian<float>(random, 33, 7), y = gaussian<float>(random, 71, 7);
  const std::vector<double> g = gaussian<double>(random, 71, 1).values, a = random_weights(random, 33),
                            b = random_weights(random, 71);
  for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
    const Problem problem = Problem::from_points(x.view(), y.view(), cost);
    const Matrix<double> c = cost_matrix(x, y, cost);
    const std::vector<double> f = c_transform(problem, g);
    double bound = 0, independent = 0;
    for (std::int64_t i = 0; i < 33; ++i) {
      double least = std::numeric_limits<double>::infinity();
      for (std::int64_t j = 0; j < 71; ++j) {
        least = std::min(least, c(i, j) - g[static_cast<std::size_t>(j)]);
        independent += a[static_cast<std::size_t>(i)] * b[static_cast<std::size_t>(j)] * c(i, j);
      }
      EXPECT_TRUE(std::fabs(f[static_cast<std::size_t>(i)] - least) <= 1e-12 * (1 + std::fabs(least)));
      bound += a[static_cast<std::size_t>(i)] * least;
    }
    for (std::size_t j = 0; j < b.size(); ++j) bound += b[j] * g[j];
    const double got = transport_dual_bound(problem, g, a, b);
    EXPECT_TRUE(std::fabs(got - bound) <= 1e-12 * (1 + std::fabs(bound)));
    EXPECT_TRUE(got <= independent);
  }
  EXPECT_THROW(c_transform(Problem::from_points(x.view(), y.view()), a), InputError);
}

// y = A x shuffled, A symmetric positive definite: the optimum is known.
TEST(Sinkhorn, RoundsPlantedProblemsToTheGapAskedFor) {
  Random random(std::random_device{}());
  for (const auto& [n, d] : {std::pair{150, 1}, {700, 2}, {150, 3}, {300, 64}, {100, 784}}) {
    SCOPED_TRACE("n " + std::to_string(n) + " d " + std::to_string(d));
    const Planted problem = planted(random, n, d);
    double optimum = 0;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t k = 0; k < d; ++k) {
        const double apart = problem.source(i, k) - problem.target(problem.sigma[static_cast<std::size_t>(i)], k);
        optimum += apart * apart / n;
      }
    SinkhornSolver solver;
    SinkhornResult result;
    solver.solve(Problem::from_points(problem.source.view(), problem.target.view()), {.epsilon = 0.01}, result);
    EXPECT_EQ(result.status, SolveStatus::converged) << result.message;
    for (const double gap : {0.1, 1e-3, 0.0}) {
      const Assignment pairs = solver.round_to_permutation(gap);
      EXPECT_EQ(pairs.status, SolveStatus::converged);
      EXPECT_TRUE(pairs.certificate.is_permutation);
      EXPECT_TRUE(pairs.certificate.gap <= gap + 1e-9) << pairs.certificate.gap;
      EXPECT_TRUE(pairs.certificate.primal_cost <= optimum / (1 - gap) * (1 + 1e-9));
    }
  }
}

TEST(Sinkhorn, PairsCarryTheirCertificate) {
  Random random(std::random_device{}());
  for (const std::int64_t n : {1, 31, 150}) {
    const Matrix<float> x = gaussian<float>(random, n, 2), y = gaussian<float>(random, n, 2);
    const Problem problem = Problem::from_points(x.view(), y.view());
    const double optimum = reference_total(cost_matrix(x, y, Cost::squared_euclidean)) / static_cast<double>(n);
    SinkhornSolver solver;
    SinkhornResult result;
    solver.solve(problem, {.epsilon = 0.02}, result);
    const Assignment exact = solver.round_to_permutation();
    EXPECT_TRUE(exact.certificate.is_permutation);
    EXPECT_TRUE(std::fabs(exact.certificate.primal_cost - optimum) <= 1e-9 * optimum);
    EXPECT_TRUE(exact.certificate.gap <= 1e-9);
    const Assignment near = solver.round_to_permutation(0.05);
    EXPECT_TRUE(near.certificate.is_permutation);
    EXPECT_TRUE(near.certificate.gap <= 0.05);
    for (const Assignment& pairs : {solver.argmax_pairs(), solver.sample_pairs(7)}) {
      EXPECT_TRUE(pairs.certificate.dual_bound <= optimum * (1 + 1e-12));
      for (const std::int64_t j : pairs.sigma) EXPECT_TRUE(j >= 0 && j < n);
    }
    EXPECT_EQ(solver.sample_pairs(7, 3).sigma, solver.sample_pairs(7, 3).sigma);
  }
}

TEST(Sinkhorn, SamplesFollowThePlan) {
  Random random(std::random_device{}());
  const std::int64_t n = 3, m = 37, draws = 4000;
  const Matrix<double> c = gaussian<double>(random, n, m);
  SinkhornSolver solver;
  SinkhornResult result;
  solver.solve(Problem::from_matrix(c.view()), {.epsilon = 1, .tolerance = 1e-5}, result);
  Matrix<double> counts(n, m);
  for (std::int64_t draw = 0; draw < draws; ++draw) {
    const Assignment pairs = solver.sample_pairs(random(), 0, false);
    for (std::int64_t i = 0; i < n; ++i) counts(i, pairs.sigma[static_cast<std::size_t>(i)]) += 1;
  }
  const Assignment best = solver.argmax_pairs(false);
  double chi_square = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    std::int64_t highest = 0;
    const auto mass = [&](std::int64_t j) {
      return std::exp((result.f[static_cast<std::size_t>(i)] + result.g[static_cast<std::size_t>(j)] - c(i, j)) /
                      result.epsilon) /
             static_cast<double>(m);
    };
    for (std::int64_t j = 0; j < m; ++j) {
      if (mass(j) > mass(highest)) highest = j;
      const double expected = mass(j) * static_cast<double>(draws);
      chi_square += (counts(i, j) - expected) * (counts(i, j) - expected) / expected;
    }
    EXPECT_EQ(best.sigma[static_cast<std::size_t>(i)], highest);
  }
  // 108 degrees of freedom: mean 108, deviation 14.7; seven deviations.
  EXPECT_TRUE(chi_square <= 211) << chi_square;
}

}  // namespace
}  // namespace otnfm::test
