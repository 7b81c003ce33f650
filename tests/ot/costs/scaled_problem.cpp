// Problems of any size against the same problem of unit size: sizes from 1e-300 to 1e300 in every type.
#include "ot/costs/scaled_problem.h"

#include <gtest/gtest.h>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "ot/costs/integer_range.h"
#include "ot/costs/pair_cost.h"
#include "ot/entropic/sinkhorn_setup.h"
#include "ot/matching/proven_solve.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

double largest_cost(const Problem& problem) {
  double largest = 0;
  for (std::int64_t i = 0; i < problem.n(); ++i)
    for (std::int64_t j = 0; j < problem.m(); ++j) largest = std::max(largest, std::fabs(pair_cost(problem, i, j)));
  return largest;
}

// The scaled problem's costs times the unit are the costs of `given`, and the largest is near 1.
void expect_scaled(const Problem& given, bool scaled) {
  ScaledProblem problem;
  problem.reset(given);
  EXPECT_EQ(problem.scaled(), scaled);
  const double largest = largest_cost(problem.problem());
  if (scaled) {
    EXPECT_TRUE(largest <= 1 && largest > 1e-3) << largest;
  }
  for (std::int64_t i = 0; i < given.n(); ++i)
    for (std::int64_t j = 0; j < given.m(); ++j) {
      const double cost = pair_cost(given, i, j);
      EXPECT_TRUE(std::fabs(problem.back(pair_cost(problem.problem(), i, j)) - cost) <= 1e-15 * std::fabs(cost));
    }
}

TEST(ScaledProblem, PointsAndMatricesOfAnySize) {
  Random random(std::random_device{}());
  for (const int exponent : {-400, -60, -20, 0, 20, 45, 63, 400}) {
    SCOPED_TRACE(exponent);
    Matrix<double> x = gaussian<double>(random, 7, 3), y = gaussian<double>(random, 5, 3);
    for (Matrix<double>* points : {&x, &y})
      for (double& value : points->values) value = std::ldexp(value, exponent);
    for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
      const int costs = cost == Cost::euclidean ? exponent : 2 * exponent;
      expect_scaled(Problem::from_points(x.view(), y.view(), cost), std::abs(costs) > 100);
    }
    expect_scaled(Problem::from_matrix(x.view()), std::abs(exponent) > 100);
    if (std::abs(exponent) > 100) continue;
    Matrix<float> narrow(7, 3);
    for (std::size_t k = 0; k < narrow.values.size(); ++k) narrow.values[k] = static_cast<float>(x.values[k]);
    expect_scaled(Problem::from_points(narrow.view(), narrow.view()), std::abs(exponent) > 50);
    expect_scaled(Problem::from_matrix(narrow.view()), false);
  }
}

// Differences count, not where the clouds are.
TEST(ScaledProblem, OffsetsAreNoSize) {
  Matrix<double> x(2, 1), y(2, 1);
  x.values = {0x1p-70, 0x1p-70 + 0x1p-100};
  y.values = {0x1p-70 + 0x1p-99, 0x1p-70};
  ScaledProblem problem;
  problem.reset(Problem::from_points(x.view(), y.view()));
  EXPECT_TRUE(problem.scaled());
  EXPECT_TRUE(largest_cost(problem.problem()) > 1e-3);
  EXPECT_EQ(problem.back(pair_cost(problem.problem(), 0, 0)), 0x1p-198);
}

TEST(ScaledProblem, RefusesWhatDoubleCannotHoldAndNamesIt) {
  Matrix<double> x(3, 2), y(2, 2);
  x(2, 1) = -1e200;
  for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
    ScaledProblem problem;
    if (cost == Cost::negative_dot) y(1, 1) = 1e180;
    try {
      problem.reset(Problem::from_points(x.view(), y.view(), cost));
      EXPECT_EQ(cost, Cost::euclidean);
    } catch (const InputError& error) {
      EXPECT_NE(cost, Cost::euclidean);
      EXPECT_NE(std::string(error.what()).find("source holds -1e+200 at [2, 1]"), std::string::npos) << error.what();
    }
  }
  x(2, 1) = 1.7e308;
  ScaledProblem problem;
  EXPECT_THROW(problem.reset(Problem::from_matrix(x.view())), InputError);
  x(2, 1) = 1e307;
  problem.reset(Problem::from_matrix(x.view()));
  EXPECT_TRUE(problem.scaled());
}

TEST(ScaledProblem, ZerosIntegersNothingAndForbiddenPairsStayAsTheyAre) {
  const Matrix<double> zeros(4, 4), none(0, 3);
  const Matrix<std::int64_t> integers(2, 2);
  for (const Problem& given : {Problem::from_matrix(zeros.view()), Problem::from_points(zeros.view(), zeros.view()),
                               Problem::from_points(none.view(), none.view()), Problem::from_matrix(integers.view())})
    expect_scaled(given, false);
  Matrix<double> forbidding(2, 2);
  forbidding.values = {std::numeric_limits<double>::infinity(), 1e60, 2e60, 3e60};
  ScaledProblem problem;
  problem.reset(Problem::from_matrix(forbidding.view()));
  EXPECT_EQ(pair_cost(problem.problem(), 0, 0), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(pair_cost(problem.problem(), 1, 1) <= 1);
}

// What is as small beside the largest as double allows keeps its digits.
TEST(ScaledProblem, CostsFarApartAreAllKept) {
  for (const double huge : {1e300, 1e306})
    for (const double small : {1e-6, 1.2345678901234e-250, 1.2345678901234e-270}) {
      Matrix<double> c(2, 3);
      c.values = {huge, small, 0, 3 * small, -small, 7 * small};
      ScaledProblem problem;
      problem.reset(Problem::from_matrix(c.view()));
      EXPECT_TRUE(problem.scaled());
      EXPECT_EQ(problem.wide(), small < 1e-100) << huge << ", " << small;
      for (std::int64_t i = 0; i < 2; ++i)
        for (std::int64_t j = 0; j < 3; ++j)
          EXPECT_EQ(problem.back(pair_cost(problem.problem(), i, j)), c(i, j)) << huge << ", " << small;
    }
}

// A copy by two factors is what one exact scaling gives.
TEST(ScaledProblem, ScalingRoundsNothing) {
  Random random(std::random_device{}());
  std::uniform_real_distribution<double> mantissa(-2, 2);
  for (const int exponent : {-700, -201, -105, 105, 202, 701}) {
    Matrix<double> c(7, 13);
    for (double& value : c.values) value = std::ldexp(mantissa(random), exponent - static_cast<int>(random() % 60));
    c(6, 12) = std::ldexp(-1.5, exponent);
    ScaledProblem problem;
    problem.reset(Problem::from_matrix(c.view()));
    EXPECT_TRUE(problem.scaled());
    for (std::int64_t i = 0; i < c.rows; ++i)
      for (std::int64_t j = 0; j < c.columns; ++j)
        EXPECT_EQ(problem.back(pair_cost(problem.problem(), i, j)), c(i, j)) << exponent;
  }
}

// What looks at every entry before a solve begins does not outlast the solve's limits.
TEST(ScaledProblem, PreparationsHeedLimits) {
  const std::int64_t n = 2500;  // more entries than are looked at without a look at the clock, by each of two threads
  Matrix<double> c(n, n);
  for (double& value : c.values) value = 1e40;
  c(3, 5) = std::numeric_limits<double>::infinity();
  const Problem problem = Problem::from_matrix(c.view());
  const SolveLimits late(SolveLimits::kNoIterations, -1);
  const host::ThreadLimit one_thread(1);
  EXPECT_THROW(check_entries(problem, &late), SolveStopped);
  EXPECT_THROW(cost_size(problem, &late), SolveStopped);
  ScaledProblem scaled;
  EXPECT_THROW(scaled.reset(problem, &late), SolveStopped);
  EXPECT_FALSE(scaled.scaled());
  EXPECT_EQ(scaled.problem().costs.data, c.values.data());
  const HostVector<double> masses(static_cast<std::size_t>(n), 1.0 / static_cast<double>(n));
  EXPECT_THROW(check_allowed(problem, masses, masses, late), SolveStopped);
  const std::vector<std::int32_t> whole(static_cast<std::size_t>(n * n), 7);
  EXPECT_THROW(range_of_integers(View<const std::int32_t>(whole.data(), {n, n}), late), SolveStopped);

  // A solve that never saw its costs: paired all the same, but for the forbidden pair, and nothing is said to be known.
  c(0, 0) = std::numeric_limits<double>::infinity();
  PreparedProblem prepared;
  Assignment result;
  solve_and_prove(prepared, problem, true, {}, late, result,
                  [](const PreparedProblem&, const SolveLimits&) { FAIL() << "there was no time for it"; });
  EXPECT_EQ(result.status, SolveStatus::time_limit);
  EXPECT_EQ(std::ranges::count(result.sigma, -1), result.sigma[0] == -1 ? 1 : 0);
  EXPECT_FALSE(result.sigma[0] == 0 || result.sigma[3] == 5);
  EXPECT_EQ(result.certificate.proven_rows, 0);
  EXPECT_FALSE(result.certificate.gap < 1);
}

TEST(Problem, OnlyAMatrixForbidsAndOnlyByPlusInfinity) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Matrix<double> c(2, 2);
  EXPECT_FALSE(check_entries(Problem::from_matrix(c.view())));
  c(0, 1) = kInfinity;
  EXPECT_TRUE(check_entries(Problem::from_matrix(c.view())));
  EXPECT_THROW(check_finite(Problem::from_matrix(c.view())), InputError);
  EXPECT_THROW(check_entries(Problem::from_points(c.view(), c.view())), InputError);
  // The first bad entry is named, whichever of the threads finds one.
  Matrix<float> many(400, 300);
  for (const std::int64_t row : {399, 250, 77, 0}) {
    many(row, 299) = std::nanf("");
    try {
      check_finite(Problem::from_matrix(many.view()));
      ADD_FAILURE();
    } catch (const InputError& error) {
      const std::string place = "[" + std::to_string(row) + ", 299]";
      EXPECT_NE(std::string(error.what()).find(place), std::string::npos) << error.what();
    }
  }
  for (const double bad : {-kInfinity, std::nan("")}) {
    c(1, 0) = bad;
    try {
      check_entries(Problem::from_matrix(c.view()));
      ADD_FAILURE();
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find("[1, 0]"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace otnfm::test
