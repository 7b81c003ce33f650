// Problems that arithmetic, a planner or a clock makes hard: numbers of any size, costs of very different sizes,
// forbidden pairs, heavy tails, and limits in every phase; the exact solver and the auction.
#include <gtest/gtest.h>

#include <functional>

#include "kernels/error.h"
#include "ot/auction.h"
#include "ot/costs/infinity.h"
#include "ot/exact.h"
#include "ot/matching/multilevel.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

struct Way {
  std::string name;
  std::function<Assignment(const Problem&)> solve;
};

std::vector<Way> all_ways(bool points) {
  std::vector<Way> ways;
  for (const ExactAlgorithm algorithm :
       {ExactAlgorithm::automatic, ExactAlgorithm::dense, ExactAlgorithm::screened, ExactAlgorithm::multilevel})
    if (points || algorithm == ExactAlgorithm::automatic || algorithm == ExactAlgorithm::dense)
      ways.push_back({std::string("exact, ") + name_of(algorithm),
                      [algorithm](const Problem& problem) { return solve_exact(problem, {.algorithm = algorithm}); }});
  for (const double gap : {1e-3, 1e-6, 0.0})
    ways.push_back({"auction to " + std::to_string(gap),
                    [gap](const Problem& problem) { return solve_auction(problem, {.max_gap = gap}); }});
  return ways;
}

// One-to-one, converged, and of the optimal cost within what its own certificate allows, which is little.
void expect_solved(const Assignment& result, double optimum) {
  EXPECT_EQ(result.status, SolveStatus::converged);
  const Certificate& proof = result.certificate;
  EXPECT_TRUE(proof.is_permutation);
  EXPECT_LE(proof.gap, 1e-3);
  EXPECT_GE(proof.gap, 0);
  EXPECT_LE(proof.dual_bound, optimum * (1 + 1e-12));
  EXPECT_GE(proof.primal_cost, optimum * (1 - 1e-12));
  EXPECT_LE(proof.primal_cost, optimum * (1 + 1.01 * proof.gap + 1e-12));
}

template <class T>
Matrix<T> scaled(const Matrix<double>& points, double scale) {
  Matrix<T> out(points.rows, points.columns);
  for (std::size_t k = 0; k < out.values.size(); ++k) out.values[k] = static_cast<T>(scale * points.values[k]);
  return out;
}

TEST(HardProblems, PointsOfAnySize) {
  Random random(std::random_device{}());
  const std::int64_t n = 140;
  for (const std::int64_t d : {2, 20}) {
    const Matrix<double> x = gaussian<double>(random, n, d), y = gaussian<double>(random, n, d);
    const double optimum = reference_total(cost_matrix(x, y, Cost::squared_euclidean)) / n;
    for (const Way& way : all_ways(true)) {
      for (const double scale : {0x1p-500, 0x1p-100, 0x1p70, 0x1p400}) {
        SCOPED_TRACE(way.name + ", d = " + std::to_string(d) + ", points of " + std::to_string(std::log2(scale)));
        const Matrix<double> far_x = scaled<double>(x, scale), far_y = scaled<double>(y, scale);
        expect_solved(way.solve(Problem::from_points(far_x.view(), far_y.view())), optimum * scale * scale);
      }
      for (const double scale : {1e-25, 1e19}) {  // squares that float32 does not hold
        SCOPED_TRACE(way.name + ", d = " + std::to_string(d) + ", float32 points of " + std::to_string(scale));
        const Matrix<float> far_x = scaled<float>(x, scale), far_y = scaled<float>(y, scale);
        expect_solved(way.solve(Problem::from_points(far_x.view(), far_y.view())),
                      reference_total(cost_matrix(far_x, far_y, Cost::squared_euclidean)) / n);
      }
    }
  }
}

// "No data" in one cell: the answer for the others is as good as without it.
TEST(HardProblems, OneAbsurdCoordinate) {
  Random random(std::random_device{}());
  const std::int64_t n = 150;
  Matrix<float> x = gaussian<float>(random, n, 2), y = gaussian<float>(random, n, 2);
  x(17, 1) = -3.4028235e38F;
  for (const Way& way : all_ways(true)) {
    SCOPED_TRACE(way.name);
    const Assignment result = way.solve(Problem::from_points(x.view(), y.view()));
    EXPECT_EQ(result.status, SolveStatus::converged);
    EXPECT_TRUE(result.certificate.is_permutation);
    EXPECT_LE(result.certificate.gap, 1e-3);
  }
  Matrix<double> wide(n, 2);
  wide(3, 0) = -1.7976931348623157e308;
  for (const Way& way : all_ways(true)) {
    SCOPED_TRACE(way.name);
    try {
      way.solve(Problem::from_points(wide.view(), wide.view()));
      ADD_FAILURE();
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find("[3, 0]"), std::string::npos) << error.what();
    }
  }
}

TEST(HardProblems, MatricesOfAnySize) {
  Random random(std::random_device{}());
  for (const std::int64_t n : {3, 7, 60}) {
    Matrix<double> c(n, n);
    for (double& value : c.values) value = std::uniform_real_distribution<double>(-1, 1)(random);
    const double optimum = reference_total(c) / static_cast<double>(n);
    for (const Way& way : all_ways(false))
      for (const int exponent : {-1000, -200, 200, 1000, 1015}) {
        SCOPED_TRACE(way.name + ", n = " + std::to_string(n) + ", costs of 2^" + std::to_string(exponent));
        Matrix<double> huge = c;
        for (double& value : huge.values) value = std::ldexp(value, exponent);
        const Assignment result = way.solve(Problem::from_matrix(huge.view()));
        EXPECT_EQ(result.status, SolveStatus::converged);
        EXPECT_LE(result.certificate.gap, 1e-3);
        EXPECT_LE(std::fabs(std::ldexp(result.certificate.primal_cost, -exponent) - optimum),
                  1.01 * result.certificate.gap * std::fabs(optimum) + 1e-9);
      }
  }
}

// What the largest of the costs is changes nothing where an assignment does without it.
TEST(HardProblems, ForbiddingCostsAmongSmallOnes) {
  Random random(std::random_device{}());
  const std::int64_t n = 50;
  for (const auto& [rows, columns] : {std::pair{n, n}, {n, n + 9}, {n + 9, n}}) {
    Matrix<double> c(rows, columns);
    std::vector<char> forbidden(c.values.size(), 0);
    for (std::size_t k = 0; k < c.values.size(); ++k) {
      c.values[k] = std::uniform_real_distribution<double>(0.5, 1)(random) * 1e-6;
      const auto i = static_cast<std::int64_t>(k) / columns, j = static_cast<std::int64_t>(k) % columns;
      forbidden[k] = i != j && random() % 4 != 0;
    }
    Matrix<double> small = c;
    for (std::size_t k = 0; k < c.values.size(); ++k)
      if (forbidden[k]) small.values[k] = 1;
    const double optimum = reference_total(small) / n;
    ASSERT_LT(optimum, 1e-6);
    for (const double huge : {1e12, 1e30, 1e300, kInfinity})
      for (const Way& way : all_ways(false)) {
        SCOPED_TRACE(way.name + ", " + std::to_string(huge) + ", " + std::to_string(rows) + " x " +
                     std::to_string(columns));
        for (std::size_t k = 0; k < c.values.size(); ++k)
          if (forbidden[k]) c.values[k] = huge;
        expect_solved(way.solve(Problem::from_matrix(c.view())), optimum);
      }
  }
}

TEST(HardProblems, NoAssignmentIsSaidAndTheMostPairsAreMade) {
  // Three rows share two columns.
  Matrix<double> c(5, 5);
  for (std::int64_t i = 0; i < 5; ++i)
    for (std::int64_t j = 0; j < 5; ++j) c(i, j) = i < 3 && j > 1 ? kInfinity : static_cast<double>(3 * i + j);
  Matrix<float> narrow(5, 5);
  for (std::size_t k = 0; k < c.values.size(); ++k) narrow.values[k] = static_cast<float>(c.values[k]);
  for (const Problem& problem : {Problem::from_matrix(c.view()), Problem::from_matrix(narrow.view())})
    for (const Way& way : all_ways(false)) {
      SCOPED_TRACE(way.name);
      const Assignment result = way.solve(problem);
      EXPECT_EQ(result.status, SolveStatus::infeasible);
      EXPECT_FALSE(result.certificate.is_permutation);
      EXPECT_EQ(std::count(result.sigma.begin(), result.sigma.end(), -1), 1);
      for (std::size_t i = 0; i < 5; ++i)
        if (result.sigma[i] >= 0) {
          EXPECT_TRUE(std::isfinite(c(static_cast<std::int64_t>(i), result.sigma[i])));
        }
    }
  c(4, 4) = -kInfinity;
  for (const Way& way : all_ways(false)) EXPECT_THROW(way.solve(Problem::from_matrix(c.view())), InputError);
}

// Heavy tails and outliers: right by every way.
TEST(HardProblems, HeavyTails) {
  Random random(std::random_device{}());
  const std::int64_t n = 200;
  std::lognormal_distribution<double> lognormal(0, 3);
  for (const bool outlier : {false, true}) {
    Matrix<float> x = gaussian<float>(random, n, 2), y = gaussian<float>(random, n, 2);
    if (outlier) {
      x(5, 0) = y(9, 1) = 1e8F;
    } else {
      for (float& value : x.values) value = static_cast<float>(lognormal(random));
      for (float& value : y.values) value = static_cast<float>(lognormal(random));
    }
    const double optimum = reference_total(cost_matrix(x, y, Cost::squared_euclidean)) / n;
    for (const Way& way : all_ways(true)) {
      SCOPED_TRACE(way.name + (outlier ? ", an outlier" : ", lognormal"));
      expect_solved(way.solve(Problem::from_points(x.view(), y.view())), optimum);
    }
  }
}

TEST(HardProblems, ListsThatDoNotPayGiveUp) {
  Random random(3);
  const std::int64_t n = 300;
  const Matrix<float> x = gaussian<float>(random, n, 2), y = gaussian<float>(random, n, 2);
  const Problem problem = Problem::from_points(x.view(), y.view());
  MultilevelAssignment lists;
  Assignment result;
  result.sigma.assign(n, -1);
  result.f.assign(n, 0.0);
  result.g.assign(n, 0.0);
  EXPECT_FALSE(lists.solve(problem, 20000, SolveLimits(), 0, result));
  EXPECT_TRUE(lists.solve(problem, 100 * n * n, SolveLimits(), 0, result));
  EXPECT_TRUE(one_to_one(result.sigma, n));
}

// A limit leaves a pairing of all, what it costs, and a bound that is true.
TEST(HardProblems, LimitsLeaveAPairingAndATrueBound) {
  Random random(std::random_device{}());
  for (const auto& [n, m] : {std::pair{260, 260}, {200, 260}, {260, 200}}) {
    const Matrix<float> x = gaussian<float>(random, n, 2), y = gaussian<float>(random, m, 2, 1, 3);
    const Problem problem = Problem::from_points(x.view(), y.view());
    const double optimum = solve_exact(problem).certificate.primal_cost;
    const auto expect_pairing = [&, least = std::min(n, m)](const Assignment& result, SolveStatus status) {
      const auto matched =
          std::count_if(result.sigma.begin(), result.sigma.end(), [](std::int64_t j) { return j >= 0; });
      EXPECT_EQ(matched, least);
      EXPECT_TRUE(result.certificate.is_permutation);
      EXPECT_GE(result.certificate.primal_cost, optimum * (1 - 1e-12));
      EXPECT_LE(result.certificate.dual_bound, optimum * (1 + 1e-12));
      EXPECT_GE(result.certificate.gap, 0);
      if (result.certificate.gap > 1e-3) {
        EXPECT_EQ(result.status, status);
      }
    };
    const SolveWatch stop = [](const SolveProgress&) { return false; };
    for (const ExactAlgorithm algorithm :
         {ExactAlgorithm::dense, ExactAlgorithm::screened, ExactAlgorithm::multilevel}) {
      if (n != m && algorithm != ExactAlgorithm::dense) continue;
      SCOPED_TRACE(name_of(algorithm));
      expect_pairing(solve_exact(problem, {.algorithm = algorithm, .max_seconds = 0}), SolveStatus::time_limit);
      const Assignment once = solve_exact(problem, {.algorithm = algorithm, .max_iterations = 1});
      expect_pairing(once, SolveStatus::iteration_limit);
      EXPECT_EQ(once.sigma, solve_exact(problem, {.algorithm = algorithm, .max_iterations = 1}).sigma);
      EXPECT_EQ(once.certificate.proven_rows, n);
    }
    for (const double gap : {1e-2, 1e-6, 0.0}) {
      SCOPED_TRACE(gap);
      expect_pairing(solve_auction(problem, {.max_gap = gap, .max_seconds = 0}), SolveStatus::time_limit);
      expect_pairing(solve_auction(problem, {.max_gap = gap, .max_iterations = 1}), SolveStatus::iteration_limit);
    }
  }
}

TEST(HardProblems, OneLimitForAStack) {
  Random random(4);
  const std::int64_t n = 60;
  const Matrix<float> x = gaussian<float>(random, n, 2), y = gaussian<float>(random, n, 2);
  const std::vector<Problem> problems(20, Problem::from_points(x.view(), y.view()));
  std::vector<Assignment> results(20);
  ExactWorkspace exact;
  AuctionWorkspace auction;
  for (const bool by_auction : {false, true}) {
    if (by_auction)
      solve_auction_batch(problems, {.max_seconds = 0}, auction, results);
    else
      solve_exact_batch(problems, {.max_seconds = 0}, exact, results);
    for (const Assignment& result : results) {
      EXPECT_EQ(result.status, SolveStatus::time_limit);
      EXPECT_TRUE(one_to_one(result.sigma, n));
    }
  }
}

// The watch is asked during the proof, and ends it.
TEST(HardProblems, TheProofCanBeInterrupted) {
  Random random(6);
  const std::int64_t n = 6000;
  const Matrix<float> x = gaussian<float>(random, n, 3);
  std::int64_t unproven = -1;
  ExactOptions options;
  options.algorithm = ExactAlgorithm::multilevel;
  options.watch = [&](const SolveProgress& at) {
    unproven = std::max(unproven, at.unproven_rows);
    return at.unproven_rows < 0;
  };
  const Assignment result = solve_exact(Problem::from_points(x.view(), x.view()), options);
  EXPECT_TRUE(one_to_one(result.sigma, n));
  if (unproven >= 0) {  // it took a tenth of a second
    EXPECT_EQ(result.status, SolveStatus::interrupted);
    EXPECT_LT(result.certificate.proven_rows, n);
  } else {
    EXPECT_EQ(result.status, SolveStatus::converged);
  }
}

}  // namespace
}  // namespace otnfm::test
