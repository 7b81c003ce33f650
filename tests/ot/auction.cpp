// The auction against an independent Hungarian algorithm, the exact solver, planted optima and the OR-Library's files:
// within its gap, and proved so.
#include "ot/auction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>

#include "kernels/error.h"
#include "ot/exact.h"
#include "ot/sinkhorn.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

double largest(const Matrix<double>& c) {
  double size = 0;
  for (const double value : c.values) size = std::max(size, std::fabs(value));
  return size;
}

// One-to-one, at most max_gap above the reference's total, feasible potentials, and a certificate that says so. Costs
// are judged to the rounding of the largest: what sentinels round away is not the auction's.
void expect_within(const Matrix<double>& c, const Assignment& result, double max_gap, double exactness = 1e-9) {
  ASSERT_TRUE(one_to_one(result.sigma, c.columns));
  EXPECT_EQ(result.status, SolveStatus::converged);
  const double wanted = reference_total(c), got = total_of(c, result.sigma), size = largest(c);
  const double matched = static_cast<double>(std::min(c.rows, c.columns));
  const double rounding = exactness * std::fabs(wanted) + 1e-13 * size;
  EXPECT_TRUE(got >= wanted - rounding) << "below the optimum: " << got << " < " << wanted;
  EXPECT_TRUE(got - wanted <= max_gap * std::fabs(got) + rounding) << "total " << got << ", reference " << wanted;
  const Certificate& proof = result.certificate;
  EXPECT_TRUE(proof.is_permutation);
  EXPECT_TRUE(std::fabs(proof.primal_cost - got / matched) <= rounding);
  EXPECT_TRUE(proof.dual_bound <= wanted / matched + rounding);
  EXPECT_TRUE(proof.primal_cost - proof.dual_bound <= max_gap * std::fabs(proof.primal_cost) + rounding)
      << "gap " << proof.gap << " of " << max_gap;
}

Assignment solve(const Problem& problem, double max_gap) {
  AuctionOptions options;
  options.max_gap = max_gap;
  return solve_auction(problem, options);
}

TEST(AuctionMatrix, EveryGeneratorShapeAndGap) {
  Random random(std::random_device{}());
  for (const CostGenerator& generator : cost_generators())
    for (int round = 0; round < 200; ++round) {  // times five gaps
      const auto n = static_cast<std::int64_t>(1 + random() % 33);
      const auto m = round % 2 == 0 ? n : static_cast<std::int64_t>(1 + random() % 33);
      const Matrix<double> c = generator.make(random, n, m);
      for (const double max_gap : {0.0, 1e-6, 1e-4, 1e-2, 0.3}) {
        SCOPED_TRACE(std::string(generator.name) + ", " + std::to_string(n) + " x " + std::to_string(m) + ", gap " +
                     std::to_string(max_gap));
        expect_within(c, solve(Problem::from_matrix(c.view()), max_gap), max_gap);
      }
    }
}

// Whole costs, asked for a gap of 0: optimal, and the certificate has nothing left.
TEST(AuctionMatrix, WholeCostsAreSolvedExactly) {
  Random random(std::random_device{}());
  for (const CostGenerator& generator : cost_generators()) {
    if (!generator.whole) continue;
    for (const auto& [n, m] : {std::pair{1, 1}, {2, 2}, {31, 31}, {90, 90}, {40, 57}, {57, 40}, {1, 9}, {9, 1}}) {
      const Matrix<double> c = generator.make(random, n, m);
      Matrix<std::int32_t> narrow(n, m);
      Matrix<std::int64_t> wide(n, m);
      for (std::size_t k = 0; k < c.values.size(); ++k) {
        narrow.values[k] = static_cast<std::int32_t>(c.values[k]) - 7;
        wide.values[k] = static_cast<std::int64_t>(c.values[k]) + 5;
      }
      SCOPED_TRACE(std::string(generator.name) + ", " + std::to_string(n) + " x " + std::to_string(m));
      const double optimum = reference_total(c), matched = static_cast<double>(std::min(n, m));
      for (const Problem& problem : {Problem::from_matrix(narrow.view()), Problem::from_matrix(wide.view())}) {
        const double shift = problem.dtype() == DType::int32 ? -7 : 5;
        const Assignment result = solve(problem, 0);
        ASSERT_TRUE(one_to_one(result.sigma, m));
        EXPECT_EQ(total_of(c, result.sigma), optimum);
        EXPECT_EQ(result.status, SolveStatus::converged);
        // A shift is the same for every matching only where all rows and columns are matched; the bound below clamps.
        if (n == m) {
          EXPECT_EQ(result.certificate.gap, 0);
          EXPECT_DOUBLE_EQ(result.certificate.dual_bound, optimum / matched + shift);
          for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t j = 0; j < m; ++j) {
              const double reduced =
                  c(i, j) + shift - result.f[static_cast<std::size_t>(i)] - result.g[static_cast<std::size_t>(j)];
              ASSERT_TRUE(reduced >= 0);
              if (result.sigma[static_cast<std::size_t>(i)] == j) {
                ASSERT_EQ(reduced, 0);
              }
            }
        } else {
          EXPECT_TRUE(result.certificate.gap <= 1e-12) << result.certificate.gap;
        }
      }
    }
  }
}

// Costs that double does not hold: base + small, where the small parts decide; and a range that leaves no room for
// epsilon.
TEST(AuctionMatrix, LargeIntegersExactly) {
  Random random(std::random_device{}());
  for (const std::int64_t scale :
       {std::int64_t{1}, std::int64_t{1} << 30, std::int64_t{1} << 45, std::int64_t{1} << 56})
    for (const std::int64_t base : {std::int64_t{0}, std::int64_t{1} << 61, -(std::int64_t{1} << 62)}) {
      const std::int64_t n = 24;
      const Matrix<double> small = integer_costs(random, n, n, 999);
      Matrix<std::int64_t> c(n, n);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j)
          c(i, j) = base + scale * (i % 5) + scale * (j % 7) + static_cast<std::int64_t>(small(i, j));
      const Assignment result = solve(Problem::from_matrix(c.view()), 0);
      ASSERT_TRUE(one_to_one(result.sigma, n));
      EXPECT_EQ(result.status, SolveStatus::converged);
      EXPECT_EQ(total_of(small, result.sigma), reference_total(small)) << "scale " << scale << ", base " << base;
    }
}

TEST(AuctionMatrix, ExtremeIntegersNeitherOverflowNorHang) {
  Random random(std::random_device{}());
  Matrix<std::int64_t> c(9, 9);
  for (auto& value : c.values)
    value = random() % 3 == 0   ? std::numeric_limits<std::int64_t>::max()
            : random() % 2 == 0 ? std::numeric_limits<std::int64_t>::min()
                                : static_cast<std::int64_t>(random() % 100);
  const Problem problem = Problem::from_matrix(c.view());
  const Assignment exact = solve_exact(problem);
  for (const double max_gap : {0.0, 1e-3}) {
    const Assignment result = solve(problem, max_gap);
    ASSERT_TRUE(one_to_one(result.sigma, 9));
    EXPECT_EQ(result.certificate.primal_cost, exact.certificate.primal_cost);
  }
}

TEST(AuctionPoints, EveryCostDimensionSizeAndGap) {
  Random random(std::random_device{}());
  for (const auto& [n, m] : {std::pair{1, 1},
                             {2, 2},
                             {3, 3},
                             {33, 33},
                             {130, 130},
                             {150, 150},
                             {1, 9},
                             {9, 1},
                             {40, 90},
                             {130, 57},
                             {64, 65}})
    for (const std::int64_t d : {1, 2, 3, 8, 33})
      for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
        const Matrix<float> x = gaussian<float>(random, n, d), y = gaussian<float>(random, m, d, 0.5, 2);
        const Matrix<double> c = cost_matrix(x, y, cost);
        const Problem problem = Problem::from_points(x.view(), y.view(), cost);
        for (const double max_gap : {0.0, 1e-4, 1e-2}) {
          SCOPED_TRACE(describe(problem) + ", gap " + std::to_string(max_gap));
          expect_within(c, solve(problem, max_gap), max_gap);
        }
      }
}

// On a line, with the sources on one side of the targets, every assignment costs the same by distance: reduced costs
// tie by the hundred, and the lists must still hold the least.
TEST(AuctionPoints, CloudsSideBySideOnALine) {
  Random random(std::random_device{}());
  for (int round = 0; round < 30; ++round) {
    const std::int64_t n = 130 + static_cast<std::int64_t>(random() % 300);
    const Matrix<float> x = gaussian<float>(random, n, 1), y = gaussian<float>(random, n, 1, 0.5, 2);
    const Problem problem = Problem::from_points(x.view(), y.view(), Cost::euclidean);
    const Matrix<double> c = cost_matrix(x, y, Cost::euclidean);
    for (const double max_gap : {0.0, 1e-4, 1e-3}) expect_within(c, solve(problem, max_gap), max_gap);
  }
}

TEST(AuctionPoints, DuplicatesTiesScalesAndOffsets) {
  Random random(std::random_device{}());
  for (const std::int64_t d : {2, 12}) {
    const std::int64_t n = 150;
    const auto grid = [&](double scale, double shift) {
      Matrix<double> points = integer_costs(random, n, d, 5);
      for (double& value : points.values) value = shift + scale * value;
      return points;
    };
    const Matrix<double> cloud = gaussian<double>(random, n, d);
    const std::vector<std::pair<Matrix<double>, Matrix<double>>> pairs = {
        {grid(1, 0), grid(1, 0)},
        {grid(1e-5, 0), grid(1e-5, 0)},  // costs of 1e-10
        {grid(1e10, 0), grid(1e10, 0)},  // costs of 1e20
        {grid(1e20, 0), grid(1e20, 0)},  // of 1e40, beyond float32
        {grid(1, 1e6), grid(1, 1e6)},    // far from the origin
        {grid(0, 3), grid(0, 5)},        // two single points
        {grid(0, 3), grid(1, 0)},        // one single point
        {gaussian<double>(random, n, d, 1, 1e4), gaussian<double>(random, n, d, 1, -1e4)},
        {cloud, cloud},
    };
    for (std::size_t k = 0; k < pairs.size(); ++k)
      for (const double max_gap : {0.0, 1e-4, 1e-2}) {
        SCOPED_TRACE("pair " + std::to_string(k) + ", d " + std::to_string(d) + ", gap " + std::to_string(max_gap));
        const auto& [x, y] = pairs[k];
        expect_within(cost_matrix(x, y, Cost::squared_euclidean),
                      solve(Problem::from_points(x.view(), y.view()), max_gap), max_gap);
      }
  }
}

TEST(AuctionPoints, PlantedOptimaAreReached) {
  Random random(std::random_device{}());
  for (const auto& [rows, dimension] : {std::pair{257, 1}, {1000, 2}, {1500, 3}, {1000, 64}, {300, 784}}) {
    const std::int64_t n = rows, d = dimension;  // a lambda must not capture the names of a pair's parts
    const Planted problem = planted(random, n, d);
    const Problem points = Problem::from_points(problem.source.view(), problem.target.view());
    const auto mean = [&](const std::vector<std::int64_t>& sigma) {
      long double sum = 0;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t k = 0; k < d; ++k) {
          const double r = problem.source(i, k) - problem.target(sigma[static_cast<std::size_t>(i)], k);
          sum += static_cast<long double>(r) * r;
        }
      return static_cast<double>(sum / n);
    };
    const double optimum = mean(problem.sigma);
    for (const double max_gap : {0.0, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1}) {
      const Assignment result = solve(points, max_gap);
      SCOPED_TRACE(describe(points) + ", " + result.algorithm + ", gap " + std::to_string(max_gap));
      ASSERT_TRUE(one_to_one(result.sigma, n));
      const double got = mean(result.sigma);
      EXPECT_TRUE(got >= optimum * (1 - 1e-12));
      EXPECT_TRUE(got - optimum <= (max_gap + 1e-9) * got) << got << " " << optimum;
      EXPECT_TRUE(result.certificate.gap <= max_gap + 1e-12) << result.certificate.gap;
      EXPECT_TRUE(result.certificate.dual_bound <= optimum * (1 + 1e-12));
    }
  }
}

// Whatever it starts from, it ends within its gap: good potentials, and noise of any size.
TEST(AuctionPoints, WarmStarts) {
  Random random(std::random_device{}());
  for (const std::int64_t d : {2, 24}) {
    const std::int64_t n = 300;
    const Matrix<float> x = gaussian<float>(random, n, d), y = gaussian<float>(random, n, d);
    const Matrix<double> c = cost_matrix(x, y, Cost::squared_euclidean);
    const Problem problem = Problem::from_points(x.view(), y.view());
    AuctionOptions options;
    options.max_gap = 1e-3;
    const SinkhornResult plan = solve_sinkhorn(problem, {.epsilon = 0.01});
    options.warm_start = plan.g;
    const Assignment warm = solve_auction(problem, options);
    expect_within(c, warm, options.max_gap);
    std::vector<double> noise = plan.g;
    for (const double scale : {1e-3, 1.0, 1e6}) {
      for (double& value : noise) value = scale * std::normal_distribution<double>()(random);
      options.warm_start = noise;
      SCOPED_TRACE("noise of " + std::to_string(scale) + ", d " + std::to_string(d));
      expect_within(c, solve_auction(problem, options), options.max_gap);
    }
  }
}

TEST(Auction, EmptyAndBadInput) {
  const Matrix<float> none(0, 2), some(3, 2);
  for (const auto& [x, y] : {std::pair{none, none}, {none, some}, {some, none}}) {
    const Assignment result = solve_auction(Problem::from_points(x.view(), y.view()));
    EXPECT_EQ(result.status, SolveStatus::converged);
    EXPECT_TRUE(result.certificate.is_permutation);
    EXPECT_EQ(static_cast<std::int64_t>(result.sigma.size()), x.rows);
    for (std::int64_t j : result.sigma) EXPECT_EQ(j, -1);
  }
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Matrix<float> x = some;
    x(1, 1) = bad;
    EXPECT_THROW(solve_auction(Problem::from_points(x.view(), some.view())), InputError);
    if (std::isinf(bad)) x(1, 1) = -bad;  // +infinity forbids a pair
    EXPECT_THROW(solve_auction(Problem::from_matrix(x.view())), InputError);
  }
  const Problem problem = Problem::from_points(some.view(), some.view());
  EXPECT_THROW(solve(problem, -1e-3), InputError);
  EXPECT_THROW(solve(problem, std::numeric_limits<double>::quiet_NaN()), InputError);
  AuctionOptions options;
  std::vector<double> start(2, 0.0);
  options.warm_start = start;
  EXPECT_THROW(solve_auction(problem, options), InputError);
  start = {0, std::numeric_limits<double>::infinity(), 0};
  options.warm_start = start;
  EXPECT_THROW(solve_auction(problem, options), InputError);
}

TEST(Auction, CapsEndTheSolveAndTheBoundHolds) {
  Random random(std::random_device{}());
  for (const std::int64_t d : {2, 16}) {
    const Matrix<float> x = gaussian<float>(random, 600, d), y = gaussian<float>(random, 600, d);
    const Problem problem = Problem::from_points(x.view(), y.view());
    const double optimum = solve_exact(problem).certificate.primal_cost;
    for (const double max_gap : {0.0, 1e-3})
      for (const bool by_time : {false, true}) {
        AuctionOptions options;
        options.max_gap = max_gap;
        if (by_time)
          options.max_seconds = 0;
        else
          options.max_iterations = 20;
        const Assignment result = solve_auction(problem, options);
        EXPECT_TRUE(result.certificate.dual_bound <= optimum * (1 + 1e-12));
        EXPECT_EQ(result.sigma.size(), 600u);
        if (!by_time && result.status == SolveStatus::converged) {
          EXPECT_LE(result.iterations, 20);  // the exact levels' auctions may leave few paths
          EXPECT_TRUE(result.certificate.gap <= 1e-9);
          continue;
        }
        EXPECT_EQ(result.status, by_time ? SolveStatus::time_limit : SolveStatus::iteration_limit)
            << "d " << d << ", gap " << max_gap;
        EXPECT_TRUE(result.certificate.is_permutation);
        EXPECT_TRUE(result.certificate.primal_cost >= optimum * (1 - 1e-12));
      }
  }
}

TEST(Auction, AnswersDoNotDependOnThreads) {
  Random random(11);
  for (const std::int64_t d : {2, 24}) {
    const Matrix<float> x = gaussian<float>(random, 1100, d), y = gaussian<float>(random, 1100, d);
    const Problem problem = Problem::from_points(x.view(), y.view());
    AuctionOptions options;
    options.max_gap = 1e-3;
    options.threads = 1;
    const Assignment one = solve_auction(problem, options);
    options.threads = 2;
    const Assignment two = solve_auction(problem, options);
    EXPECT_EQ(one.sigma, two.sigma);
    EXPECT_EQ(one.g, two.g);
  }
}

TEST(Auction, BatchEqualsOneByOne) {
  Random random(std::random_device{}());
  std::vector<Matrix<float>> clouds;
  for (const auto& [n, m, d] : {std::tuple{33, 33, 2}, {200, 200, 2}, {64, 64, 40}, {5, 9, 3}, {9, 5, 3}, {0, 0, 2}}) {
    clouds.push_back(gaussian<float>(random, n, d));
    clouds.push_back(gaussian<float>(random, m, d));
  }
  std::vector<Problem> problems;
  for (std::size_t k = 0; k < clouds.size(); k += 2)
    problems.push_back(Problem::from_points(clouds[k].view(), clouds[k + 1].view()));
  std::vector<Assignment> results(problems.size());
  AuctionWorkspace workspace;
  AuctionOptions options;
  options.max_gap = 1e-2;
  for (int round = 0; round < 2; ++round) {
    solve_auction_batch(problems, options, workspace, results);
    for (std::size_t b = 0; b < problems.size(); ++b) {
      const Assignment alone = solve_auction(problems[b], options);
      EXPECT_EQ(alone.sigma, results[b].sigma);
      EXPECT_EQ(alone.g, results[b].g);
    }
  }
  results.pop_back();
  EXPECT_THROW(solve_auction_batch(problems, options, workspace, results), InputError);
}

TEST(AuctionMatrix, OrLibraryInstances) {
  const char* given = std::getenv("OTNFM_TEST_DATA");
  const std::filesystem::path folder =
      (given != nullptr ? std::filesystem::path(given)
                        : std::filesystem::path(__FILE__).parent_path() / "../../../shared/data") /
      "lap";
  if (!std::filesystem::exists(folder / "assign100.txt"))
    GTEST_SKIP() << "no OR-Library instances in " << folder << ": set OTNFM_TEST_DATA to the folder that holds lap/";
  for (const char* name : {"assign100.txt", "assign200.txt", "assign300.txt"}) {
    std::ifstream file(folder / name);
    std::int64_t n = 0;
    ASSERT_TRUE(file >> n);
    Matrix<std::int32_t> c(n, n);
    Matrix<double> wide(n, n);
    for (std::size_t k = 0; k < c.values.size(); ++k) {
      ASSERT_TRUE(file >> c.values[k]);
      wide.values[k] = c.values[k];
    }
    const double optimum = reference_total(wide);
    const Assignment exactly = solve(Problem::from_matrix(c.view()), 0);
    EXPECT_EQ(total_of(c, exactly.sigma), optimum) << name;
    EXPECT_EQ(exactly.certificate.gap, 0) << name;
    EXPECT_DOUBLE_EQ(exactly.certificate.dual_bound * static_cast<double>(n), optimum) << name;
    expect_within(wide, solve(Problem::from_matrix(c.view()), 1e-2), 1e-2);
  }
}

// Forbidden pairs that a loose gap tolerates are no proof that there is no assignment.
TEST(Auction, WhatItsGapAllowsIsNotInfeasible) {
  constexpr double kForbidden = std::numeric_limits<double>::infinity();
  Random random(std::random_device{}());
  const auto expect_assignment = [&](const Matrix<double>& c, double max_gap) {
    SCOPED_TRACE(std::to_string(c.rows) + " x " + std::to_string(c.columns) + ", gap " + std::to_string(max_gap));
    Matrix<double> finite = c;
    double size = 1;
    for (const double value : c.values)
      if (std::isfinite(value)) size += std::fabs(value);
    for (double& value : finite.values)
      if (!std::isfinite(value)) value = 4 * size;
    const double matched = static_cast<double>(std::min(c.rows, c.columns)),
                 optimum = reference_total(finite) / matched;
    const Assignment result = solve_auction(Problem::from_matrix(c.view()), {.max_gap = max_gap});
    EXPECT_EQ(result.status, SolveStatus::converged);
    ASSERT_TRUE(one_to_one(result.sigma, c.columns));
    const double cost = total_of(c, result.sigma) / matched, rounding = 1e-12 * size;
    EXPECT_LE(cost - optimum, max_gap * std::fabs(cost) + rounding);
    EXPECT_LE(result.certificate.dual_bound, optimum + rounding);
    EXPECT_NEAR(result.certificate.primal_cost, cost, rounding);
    EXPECT_LE(result.certificate.gap, std::max(max_gap, 1e-9));
  };
  Matrix<double> two(2, 2);
  two.values = {1, 2, 1, kForbidden};
  for (const double max_gap : {0.0, 1e-6, 0.5, 0.75, 0.99, 3.0}) expect_assignment(two, max_gap);
  for (const std::int64_t n : {2, 37, 300}) {
    Matrix<double> bidiagonal(n, n);
    std::ranges::fill(bidiagonal.values, kForbidden);
    for (std::int64_t i = 0; i < n; ++i) {
      bidiagonal(i, i) = 1001;
      if (i + 1 < n) bidiagonal(i, i + 1) = 1000;
    }
    for (const double max_gap : {1e-3, 1e-2, 3e-2, 0.1, 0.5}) expect_assignment(bidiagonal, max_gap);
  }
  for (const auto& [n, m] : {std::pair{41, 41}, {23, 40}, {40, 23}})
    for (const double max_gap : {0.0, 0.05, 0.4, 0.9}) {
      Matrix<double> c(n, m);
      std::vector<std::int64_t> larger(static_cast<std::size_t>(std::max(n, m)));
      std::iota(larger.begin(), larger.end(), 0);
      std::shuffle(larger.begin(), larger.end(), random);
      for (double& value : c.values)
        value = random() % 8 == 0 ? std::uniform_real_distribution<double>(1, 2)(random) : kForbidden;
      for (std::int64_t k = 0; k < std::min(n, m); ++k) {
        const std::int64_t other = larger[static_cast<std::size_t>(k)];
        (n <= m ? c(k, other) : c(other, k)) = std::uniform_real_distribution<double>(2, 3)(random);
      }
      expect_assignment(c, max_gap);
      // One of the smaller side has no pair left.
      for (std::int64_t k = 0; k < std::max(n, m); ++k) (n <= m ? c(3, k) : c(k, 3)) = kForbidden;
      const Assignment none = solve_auction(Problem::from_matrix(c.view()), {.max_gap = max_gap});
      EXPECT_EQ(none.status, SolveStatus::infeasible);
      EXPECT_EQ(none.certificate.dual_bound, kForbidden);
      std::int64_t made = 0;
      for (const std::int64_t j : none.sigma) made += j >= 0;
      EXPECT_EQ(made, std::min(n, m) - 1);
    }
}

}  // namespace
}  // namespace otnfm::test
