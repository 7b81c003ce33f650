// The exact solver against an independent Hungarian algorithm, planted optima, and the OR-Library's known ones.
#include "ot/exact.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "kernels/error.h"
#include "ot/auction.h"
#include "ot/matching/dense_assignment.h"
#include "ot/matching/multilevel.h"
#include "ot/matching/sharp_assignment.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

constexpr ExactAlgorithm kAlgorithms[] = {ExactAlgorithm::automatic, ExactAlgorithm::dense, ExactAlgorithm::screened,
                                          ExactAlgorithm::multilevel};

// Total cost equal to the reference's, one-to-one, feasible potentials, closed certificate.
void expect_optimal(const Matrix<double>& c, const Assignment& result, double tolerance = 1e-9) {
  ASSERT_TRUE(one_to_one(result.sigma, c.columns));
  const double wanted = reference_total(c), got = total_of(c, result.sigma);
  double size = 0;
  for (double value : c.values) size = std::max(size, std::fabs(value));
  const double allowed = tolerance * std::fabs(wanted) + 1e-13 * size;
  EXPECT_TRUE(std::fabs(got - wanted) <= allowed) << "total " << got << ", reference " << wanted;
  const double matched = static_cast<double>(std::min(c.rows, c.columns));
  EXPECT_TRUE(std::fabs(result.certificate.primal_cost - wanted / matched) <= allowed);
  EXPECT_TRUE(result.certificate.is_permutation);
  EXPECT_TRUE(result.certificate.dual_bound <= wanted / matched + allowed);
  EXPECT_TRUE(result.certificate.dual_bound >= wanted / matched - allowed);
  EXPECT_EQ(result.status, SolveStatus::converged);
  for (std::int64_t i = 0; i < c.rows; ++i)
    for (std::int64_t j = 0; j < c.columns; ++j) {
      const double reduced = c(i, j) - result.f[static_cast<std::size_t>(i)] - result.g[static_cast<std::size_t>(j)];
      ASSERT_TRUE(reduced >= -1e-12 * size) << "potentials infeasible at " << i << ", " << j;
      if (result.sigma[static_cast<std::size_t>(i)] == j) {
        ASSERT_TRUE(reduced <= 1e-12 * size) << "matched pair not tight at " << i << ", " << j;
      }
    }
}

template <class T>
void expect_matrix_optimal(const Matrix<T>& costs, double tolerance = 1e-9) {
  Matrix<double> c(costs.rows, costs.columns);
  for (std::size_t k = 0; k < c.values.size(); ++k) c.values[k] = static_cast<double>(costs.values[k]);
  expect_optimal(c, solve_exact(Problem::from_matrix(costs.view())), tolerance);
}

TEST(ExactMatrix, LiteratureGenerators) {
  Random random(std::random_device{}());
  for (int round = 0; round < 1000; ++round) {
    const auto n = static_cast<std::int64_t>(1 + random() % 20);
    const auto draw = [&](auto value) {
      Matrix<double> c(n, n);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j) c(i, j) = value(i, j);
      SCOPED_TRACE("n = " + std::to_string(n));
      expect_matrix_optimal(c);
    };
    std::uniform_real_distribution<double> uniform;
    const auto integer = [&](std::int64_t most) {
      return static_cast<double>(random() % static_cast<std::uint64_t>(most + 1));
    };
    draw([&](auto, auto) { return uniform(random); });
    draw([&](auto, auto) { return integer(n / 10); });
    draw([&](auto, auto) { return integer(n); });
    draw([&](auto, auto) { return integer(10 * n); });
    draw([&](auto, auto) { return std::pow(10.0, 40 * uniform(random) - 20); });
    draw([&](auto, auto) { return integer(1); });
    draw([&](auto, auto) { return 1e-10 * uniform(random); });
    draw([&](auto, auto) { return 1e20 * uniform(random); });
    draw([&](auto, auto) { return -7.25; });
    draw([&](auto, auto) { return random() % 5 == 0 ? 1e30 : uniform(random); });
    std::vector<double> u(static_cast<std::size_t>(n)), v(static_cast<std::size_t>(n));
    for (double& value : u) value = uniform(random);
    for (double& value : v) value = uniform(random);
    const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
    draw([&](auto i, auto j) { return u[at(i)] + v[at(j)] + (i == j ? 0 : 0.1); });
    draw([&](auto i, auto j) { return u[at(i)] * v[at(j)] - v[at(i)] * u[at(j)]; });
  }
}

TEST(ExactMatrix, EveryElementTypeAndShape) {
  Random random(std::random_device{}());
  for (int round = 0; round < 60; ++round) {
    const auto n = static_cast<std::int64_t>(1 + random() % 33), m = static_cast<std::int64_t>(1 + random() % 33);
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m));
    Matrix<float> floats(n, m);
    for (float& value : floats.values) value = std::uniform_real_distribution<float>(-1, 1)(random);
    expect_matrix_optimal(floats);
    Matrix<std::int32_t> ints(n, m);
    for (auto& value : ints.values) value = static_cast<std::int32_t>(random() % 100) - 50;
    expect_matrix_optimal(ints);
    Matrix<std::int64_t> longs(n, m);
    for (auto& value : longs.values) value = static_cast<std::int64_t>(random() % 100000) - 50000;
    expect_matrix_optimal(longs);
  }
}

TEST(ExactMatrix, RowsWithAGapBetweenThem) {
  Random random(5);
  Matrix<double> wide = gaussian<double>(random, 17, 40);
  Matrix<double> c(17, 23);
  for (std::int64_t i = 0; i < 17; ++i)
    for (std::int64_t j = 0; j < 23; ++j) c(i, j) = wide(i, 9 + j);
  expect_optimal(c, solve_exact(Problem::from_matrix(wide.view().column_slice(9, 23))));
}

// Costs that double does not hold: base + small, where the small parts decide and are lost in rounding.
TEST(ExactMatrix, LargeIntegersExactly) {
  Random random(std::random_device{}());
  for (const std::int64_t scale : {std::int64_t{1}, std::int64_t{1} << 45, std::int64_t{1} << 56}) {
    const std::int64_t n = 24;
    Matrix<double> small(n, n);
    Matrix<std::int64_t> c(n, n);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        small(i, j) = static_cast<double>(random() % 1000);
        // A term a row and a term a column change every assignment by the same amount.
        c(i, j) = scale * (i % 5) + scale * (j % 7) + static_cast<std::int64_t>(small(i, j));
      }
    const Assignment result = solve_exact(Problem::from_matrix(c.view()));
    ASSERT_TRUE(one_to_one(result.sigma, n));
    EXPECT_EQ(total_of(small, result.sigma), reference_total(small)) << "scale " << scale;
  }
}

TEST(ExactPoints, EveryAlgorithmCostDimensionAndSize) {
  Random random(std::random_device{}());
  for (const std::int64_t n : {1, 2, 3, 5, 31, 33, 64, 65, 127, 130, 211})
    for (const std::int64_t d : {1, 2, 3, 5, 33, 67})
      for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
        const Matrix<double> x = gaussian<double>(random, n, d), y = gaussian<double>(random, n, d, 0.5, 2);
        const Matrix<double> c = cost_matrix(x, y, cost);
        const Problem problem = Problem::from_points(x.view(), y.view(), cost);
        for (const ExactAlgorithm algorithm : kAlgorithms) {
          if (algorithm == ExactAlgorithm::screened && cost == Cost::euclidean) continue;
          SCOPED_TRACE(describe(problem) + ", " + name_of(algorithm));
          ExactOptions options;
          options.algorithm = algorithm;
          expect_optimal(c, solve_exact(problem, options));
        }
      }
}

TEST(ExactPoints, UnequalSizesMatchTheSmallerSide) {
  Random random(std::random_device{}());
  for (const auto& [n, m] : {std::pair{1, 9}, {9, 1}, {40, 90}, {130, 57}, {200, 201}}) {
    const Matrix<float> x = gaussian<float>(random, n, 3), y = eight_gaussians<float>(random, m);
    Matrix<float> padded(m, 3);
    for (std::int64_t j = 0; j < m; ++j) {
      padded(j, 0) = y(j, 0);
      padded(j, 1) = y(j, 1);
    }
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m));
    expect_optimal(cost_matrix(x, padded, Cost::squared_euclidean),
                   solve_exact(Problem::from_points(x.view(), padded.view())));
  }
}

TEST(ExactPoints, DuplicatesTiesScalesAndOffsets) {
  Random random(std::random_device{}());
  const std::int64_t n = 150;
  const auto grid = [&](double scale, double shift) {
    Matrix<double> points(n, 2);
    for (double& value : points.values) value = shift + scale * static_cast<double>(random() % 6);
    return points;
  };
  const std::vector<std::pair<Matrix<double>, Matrix<double>>> pairs = {
      {grid(1, 0), grid(1, 0)},        // points of a small grid: many duplicates, all costs integers
      {grid(1e-5, 0), grid(1e-5, 0)},  // costs of 1e-10
      {grid(1e10, 0), grid(1e10, 0)},  // costs of 1e20
      {grid(1, 1e6), grid(1, 1e6)},    // far from the origin
      {grid(0, 3), grid(0, 5)},        // two single points
      {grid(0, 3), grid(1, 0)},        // one single point
      {gaussian<double>(random, n, 2, 1, 1e4), gaussian<double>(random, n, 2, 1, -1e4)},
  };
  for (std::size_t k = 0; k < pairs.size(); ++k)
    for (const ExactAlgorithm algorithm : kAlgorithms) {
      SCOPED_TRACE("pair " + std::to_string(k) + ", " + name_of(algorithm));
      ExactOptions options;
      options.algorithm = algorithm;
      const auto& [x, y] = pairs[k];
      expect_optimal(cost_matrix(x, y, Cost::squared_euclidean),
                     solve_exact(Problem::from_points(x.view(), y.view()), options));
    }
}

TEST(ExactPoints, IdenticalCloudsCostNothing) {
  Random random(std::random_device{}());
  for (const std::int64_t d : {1, 2, 30}) {
    const Matrix<float> x = gaussian<float>(random, 500, d);
    for (const ExactAlgorithm algorithm : kAlgorithms) {
      ExactOptions options;
      options.algorithm = algorithm;
      const Assignment result = solve_exact(Problem::from_points(x.view(), x.view()), options);
      EXPECT_EQ(result.certificate.primal_cost, 0);
      EXPECT_TRUE(result.certificate.is_permutation);
      EXPECT_TRUE(result.certificate.gap <= 1e-3) << result.certificate.dual_bound;
    }
  }
}

TEST(ExactPoints, PlantedOptimaAreReached) {
  Random random(std::random_device{}());
  for (const auto& [n, d] : {std::pair{257, 1}, {1000, 2}, {4096, 1}, {4096, 2}, {4096, 3}, {1500, 64}, {300, 784}}) {
    const Planted problem = planted(random, n, d);
    const Problem points = Problem::from_points(problem.source.view(), problem.target.view());
    const Assignment result = solve_exact(points);
    SCOPED_TRACE(describe(points) + ", " + result.algorithm);
    ASSERT_TRUE(one_to_one(result.sigma, n));
    long double wanted = 0, got = 0;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t k = 0; k < d; ++k) {
        const double x = problem.source(i, k);
        const double w = x - problem.target(problem.sigma[static_cast<std::size_t>(i)], k);
        const double r = x - problem.target(result.sigma[static_cast<std::size_t>(i)], k);
        wanted += static_cast<long double>(w) * w;
        got += static_cast<long double>(r) * r;
      }
    EXPECT_TRUE(std::fabs(static_cast<double>(got / wanted) - 1) <= 1e-9);
    EXPECT_TRUE(result.certificate.gap <= 1e-12) << result.certificate.gap;
  }
}

// Clusters that the coarse levels cannot resolve, unevenly filled: the short lists must grow across them.
TEST(ExactPoints, UnevenClustersAgreeWithTheDenseSolver) {
  Random random(std::random_device{}());
  for (int round = 0; round < 4; ++round) {
    const std::int64_t n = 700 + static_cast<std::int64_t>(random() % 200);
    const Matrix<float> x = eight_gaussians<float>(random, n), y = eight_gaussians<float>(random, n);
    const Problem problem = Problem::from_points(x.view(), y.view());
    ExactOptions options;
    options.algorithm = ExactAlgorithm::multilevel;
    const Assignment quick = solve_exact(problem, options);
    options.algorithm = ExactAlgorithm::dense;
    const Assignment dense = solve_exact(problem, options);
    EXPECT_TRUE(std::fabs(quick.certificate.primal_cost - dense.certificate.primal_cost) <=
                1e-12 * dense.certificate.primal_cost);
    EXPECT_TRUE(quick.certificate.gap <= 1e-12);
  }
}

// From a few hundred points on the screened solver starts from Sinkhorn's potentials: ties, duplicates, tiny and huge
// costs, far clouds and unlike scales must all end at the dense solver's optimum, with feasible potentials.
TEST(ExactPoints, ScreenedFromSinkhornsPotentialsIsOptimal) {
  Random random(std::random_device{}());
  const auto check = [&](const Matrix<double>& x, const Matrix<double>& y, Cost cost, const char* what) {
    const Problem problem = Problem::from_points(x.view(), y.view(), cost);
    SCOPED_TRACE(std::string(what) + ", " + describe(problem));
    ExactOptions options;
    options.algorithm = ExactAlgorithm::screened;
    const Assignment quick = solve_exact(problem, options);
    options.algorithm = ExactAlgorithm::dense;
    const Assignment dense = solve_exact(problem, options);
    const Matrix<double> c = cost_matrix(x, y, cost);
    double size = 0;
    for (double value : c.values) size = std::max(size, std::fabs(value));
    EXPECT_TRUE(one_to_one(quick.sigma, c.columns));
    EXPECT_TRUE(std::fabs(quick.certificate.primal_cost - dense.certificate.primal_cost) <=
                1e-12 * std::fabs(dense.certificate.primal_cost) + 1e-14 * size)
        << quick.certificate.primal_cost << ", dense " << dense.certificate.primal_cost;
    for (std::int64_t i = 0; i < c.rows; ++i)
      for (std::int64_t j = 0; j < c.columns; ++j)
        ASSERT_TRUE(c(i, j) - quick.f[static_cast<std::size_t>(i)] - quick.g[static_cast<std::size_t>(j)] >=
                    -1e-12 * size)
            << i << ", " << j;
  };
  for (int round = 0; round < 3; ++round) {
    const auto n = static_cast<std::int64_t>(520 + random() % 200), d = static_cast<std::int64_t>(1 + random() % 40);
    const auto grid = [&](double scale, double shift) {
      Matrix<double> points(n, d);
      for (double& value : points.values) value = shift + scale * static_cast<double>(random() % 3);
      return points;
    };
    const Matrix<double> x = gaussian<double>(random, n, d), y = gaussian<double>(random, n, d, 2, 1);
    check(x, y, Cost::squared_euclidean, "Gaussians");
    check(x, y, Cost::negative_dot, "dot product");
    check(x, x, Cost::squared_euclidean, "identical");
    check(grid(1, 0), grid(1, 0), Cost::squared_euclidean, "grid");
    check(grid(1e-5, 0), grid(1e-5, 0), Cost::squared_euclidean, "costs of 1e-10");
    check(grid(1e10, 0), grid(1e10, 0), Cost::squared_euclidean, "costs of 1e20");
    check(grid(0, 3), grid(0, 5), Cost::squared_euclidean, "two single points");
    check(gaussian<double>(random, n, d, 1, 1e4), gaussian<double>(random, n, d, 1, -1e4), Cost::squared_euclidean,
          "far apart");
    check(gaussian<double>(random, n, d, 1e-3), gaussian<double>(random, n, d, 1e3), Cost::squared_euclidean,
          "unlike scales");
  }
}

TEST(ExactPoints, EmptyAndBadInput) {
  const Matrix<float> none(0, 2), some(3, 2);
  for (const auto& [x, y] : {std::pair{none, none}, {none, some}, {some, none}}) {
    const Assignment result = solve_exact(Problem::from_points(x.view(), y.view()));
    EXPECT_EQ(result.status, SolveStatus::converged);
    EXPECT_TRUE(result.certificate.is_permutation);
    EXPECT_EQ(static_cast<std::int64_t>(result.sigma.size()), x.rows);
    for (std::int64_t j : result.sigma) EXPECT_EQ(j, -1);
  }
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Matrix<float> x = some;
    x(1, 1) = bad;
    EXPECT_THROW(solve_exact(Problem::from_points(x.view(), some.view())), InputError);
    EXPECT_THROW(solve_exact(Problem::from_points(some.view(), x.view())), InputError);
    if (std::isinf(bad)) x(1, 1) = -bad;  // +infinity forbids a pair
    EXPECT_THROW(solve_exact(Problem::from_matrix(x.view())), InputError);
  }
  const Matrix<float> wide(3, 4);
  EXPECT_THROW(Problem::from_points(some.view(), wide.view()), InputError);
  ExactOptions options;
  options.algorithm = ExactAlgorithm::multilevel;
  EXPECT_THROW(solve_exact(Problem::from_matrix(some.view()), options), InputError);
  options.algorithm = ExactAlgorithm::screened;
  EXPECT_THROW(solve_exact(Problem::from_matrix(some.view()), options), InputError);
  EXPECT_THROW(solve_exact(Problem::from_points(some.view(), some.view(), Cost::euclidean), options), InputError);
  const Matrix<std::uint8_t> bytes(2, 2);
  EXPECT_THROW(Problem::from_matrix(bytes.view()), InputError);
}

TEST(Exact, CapsEndTheSolveAndTheBoundHolds) {
  Random random(std::random_device{}());
  const Matrix<float> x = gaussian<float>(random, 600, 2), y = eight_gaussians<float>(random, 600);
  const Problem problem = Problem::from_points(x.view(), y.view());
  const double optimum = solve_exact(problem).certificate.primal_cost;
  for (const ExactAlgorithm algorithm : kAlgorithms)
    for (const bool by_time : {false, true}) {
      ExactOptions options;
      options.algorithm = algorithm;
      if (by_time)
        options.max_seconds = 0;
      else
        options.max_iterations = 2;
      const Assignment result = solve_exact(problem, options);
      EXPECT_TRUE(result.certificate.dual_bound <= optimum * (1 + 1e-12));
      if (result.status == SolveStatus::converged) {
        // Its auctions may leave so few rows that two paths are enough.
        EXPECT_TRUE(algorithm != ExactAlgorithm::dense && !by_time);
        EXPECT_LE(result.iterations, 2);
        EXPECT_TRUE(result.certificate.gap <= 1e-9) << result.certificate.gap;
        continue;
      }
      EXPECT_EQ(result.status, by_time ? SolveStatus::time_limit : SolveStatus::iteration_limit);
      EXPECT_TRUE(result.certificate.is_permutation);
      EXPECT_TRUE(result.certificate.primal_cost >= optimum * (1 - 1e-12));
    }
}

TEST(Exact, AWatchSeesTheSolveAndEndsIt) {
  Random random(std::random_device{}());
  const Matrix<float> x = gaussian<float>(random, 3000, 2), y = eight_gaussians<float>(random, 3000);
  const Problem problem = Problem::from_points(x.view(), y.view());
  for (const ExactAlgorithm algorithm : {ExactAlgorithm::dense, ExactAlgorithm::screened, ExactAlgorithm::multilevel}) {
    SCOPED_TRACE(name_of(algorithm));
    double seen = -1;
    ExactOptions options;
    options.algorithm = algorithm;
    options.certify = false;
    options.watch = [&](const SolveProgress& at) {
      EXPECT_GE(at.seconds, seen);
      seen = at.seconds;
      return false;
    };
    const Assignment result = solve_exact(problem, options);
    // A solve of less than a tenth of a second is not watched.
    if (seen >= 0) {
      EXPECT_EQ(result.status, SolveStatus::interrupted);
      EXPECT_TRUE(one_to_one(result.sigma, 3000));
    }
    EXPECT_TRUE(seen >= 0 || result.seconds < 1) << result.seconds;
  }
}

TEST(ExactBatch, EqualsOneByOneAndReusesItsWorkspace) {
  Random random(std::random_device{}());
  ExactWorkspace workspace;
  for (const auto& [batch, n, d] : {std::tuple{7, 33, 2}, {3, 256, 2}, {2, 64, 784}, {1, 5, 3}, {0, 4, 2}}) {
    const Matrix<float> x = gaussian<float>(random, batch * n, d), y = gaussian<float>(random, batch * n, d);
    std::vector<std::int64_t> sigma(static_cast<std::size_t>(batch * n), -7);
    solve_exact_batch(View<const float>(x.values.data(), {batch, n, d}),
                      View<const float>(y.values.data(), {batch, n, d}), View<std::int64_t>(sigma.data(), {batch, n}),
                      workspace);
    for (std::int64_t b = 0; b < batch; ++b) {
      const Problem problem = Problem::from_points(x.view().row_slice(b * n, n), y.view().row_slice(b * n, n));
      const Assignment alone = solve_exact(problem);
      EXPECT_EQ(alone.sigma, std::vector<std::int64_t>(sigma.begin() + b * n, sigma.begin() + (b + 1) * n));
    }
  }
}

TEST(ExactBatch, RefusesBadShapesAndNamesBadEntries) {
  ExactWorkspace workspace;
  Matrix<float> x(8, 2), y(8, 2);
  std::vector<std::int64_t> sigma(8);
  const View<std::int64_t> out(sigma.data(), {2, 4});
  EXPECT_THROW(solve_exact_batch(View<const float>(x.values.data(), {2, 4, 2}),
                                 View<const float>(y.values.data(), {2, 2, 4}), out, workspace),
               InputError);
  y(5, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(solve_exact_batch(View<const float>(x.values.data(), {2, 4, 2}),
                                 View<const float>(y.values.data(), {2, 4, 2}), out, workspace),
               InputError);
}

TEST(Exact, AnswersDoNotDependOnThreads) {
  Random random(11);
  const Matrix<float> x = gaussian<float>(random, 2000, 2), y = eight_gaussians<float>(random, 2000);
  const Problem problem = Problem::from_points(x.view(), y.view());
  ExactOptions options;
  options.threads = 1;
  const Assignment one = solve_exact(problem, options);
  options.threads = 2;
  const Assignment two = solve_exact(problem, options);
  EXPECT_EQ(one.sigma, two.sigma);
  EXPECT_EQ(one.g, two.g);
  EXPECT_EQ(one.certificate.dual_bound, two.certificate.dual_bound);
}

TEST(ExactMatrix, OrLibraryInstances) {
  const char* given = std::getenv("OTNFM_TEST_DATA");
  const std::filesystem::path folder =
      (given != nullptr ? std::filesystem::path(given)
                        : std::filesystem::path(__FILE__).parent_path() / "../../../shared/data") /
      "lap";
  if (!std::filesystem::exists(folder / "assign100.txt"))
    GTEST_SKIP() << "no OR-Library instances in " << folder << ": set OTNFM_TEST_DATA to the folder that holds lap/";
  std::string others;
  for (const auto& [name, published] :
       {std::pair{"assign100.txt", 305}, {"assign200.txt", 475}, {"assign300.txt", 626}}) {
    std::ifstream file(folder / name);
    std::int64_t n = 0;
    ASSERT_TRUE(file >> n);
    Matrix<std::int32_t> c(n, n);
    Matrix<double> wide(n, n);
    for (std::size_t k = 0; k < c.values.size(); ++k) {
      ASSERT_TRUE(file >> c.values[k]);
      wide.values[k] = c.values[k];
    }
    const Assignment result = solve_exact(Problem::from_matrix(c.view()));
    EXPECT_EQ(total_of(c, result.sigma), reference_total(wide)) << name;
    EXPECT_TRUE(result.certificate.is_permutation);
    EXPECT_EQ(result.certificate.gap, 0) << name;
    if (reference_total(wide) == published) continue;
    others += std::string(others.empty() ? "" : ", ") + name + " has optimum " +
              std::to_string(static_cast<std::int64_t>(reference_total(wide))) + ", OR-Library's " +
              std::to_string(published);
  }
  // Solved to optimality all the same; but the published optima say nothing of files that are not OR-Library's.
  if (!others.empty()) GTEST_SKIP() << "other instances under OR-Library's names: " << others;
}

// f_i + g_j <= C_ij wherever a limit ends the solve; what is not known is -infinity.
TEST(Exact, PotentialsAreFeasibleAtEveryLimit) {
  Random random(std::random_device{}());
  const std::int64_t n = 230;
  Matrix<double> below = uniform_costs(random, n, n, -2, -1), wide = uniform_costs(random, n, n + 30, -2, -1);
  Matrix<double> tall(n + 30, n);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n + 30; ++j) tall(j, i) = wide(i, j);
  const Matrix<double> x = gaussian<double>(random, n, 2, 1, 5), y = gaussian<double>(random, n, 2, 1, 5);
  const Matrix<double> many_x = gaussian<double>(random, n, 20, 1, 2), many_y = gaussian<double>(random, n, 20, 1, 2);
  const Matrix<double> c = cost_matrix(x, y, Cost::negative_dot),
                       many = cost_matrix(many_x, many_y, Cost::negative_dot);
  const auto expect_feasible = [&](const Matrix<double>& costs, const Assignment& result, const std::string& what,
                                   double rounding = 1e-9) {
    double worst = 0;
    for (std::int64_t i = 0; i < costs.rows; ++i)
      for (std::int64_t j = 0; j < costs.columns; ++j) {
        const double f = result.f[static_cast<std::size_t>(i)], g = result.g[static_cast<std::size_t>(j)];
        ASSERT_FALSE(std::isnan(f + g)) << what;
        worst = std::max(worst, f + g - costs(i, j));
      }
    EXPECT_LE(worst, rounding) << what;
    EXPECT_TRUE(one_to_one(result.sigma, costs.columns)) << what;
  };
  for (const std::int64_t most : {0, 1, 7, 60, 200})
    for (const double seconds : {0.0, 1e-9, 1e-3, SolveLimits::kNoSeconds}) {
      const std::string limit = std::to_string(most) + ", " + std::to_string(seconds);
      const auto solve = [&](const Matrix<double>& costs, const Problem& problem, ExactAlgorithm algorithm) {
        expect_feasible(costs,
                        solve_exact(problem, {.algorithm = algorithm, .max_seconds = seconds, .max_iterations = most}),
                        std::string(name_of(algorithm)) + ", " + limit);
        for (const double max_gap : {0.0, 1e-6, 1e-3})
          expect_feasible(costs,
                          solve_auction(problem, {.max_gap = max_gap, .max_seconds = seconds, .max_iterations = most}),
                          "auction to " + std::to_string(max_gap) + ", " + limit, max_gap > 1e-5 ? 1e-3 : 1e-9);
      };
      for (Matrix<double>* costs : {&below, &wide, &tall})
        solve(*costs, Problem::from_matrix(costs->view()), ExactAlgorithm::dense);
      const Problem points = Problem::from_points(x.view(), y.view(), Cost::negative_dot);
      for (const ExactAlgorithm algorithm :
           {ExactAlgorithm::dense, ExactAlgorithm::screened, ExactAlgorithm::multilevel})
        solve(c, points, algorithm);
      solve(many, Problem::from_points(many_x.view(), many_y.view(), Cost::negative_dot), ExactAlgorithm::screened);
    }
}

// What a watch is told of the paths made is not taken back by the searches in between.
TEST(Exact, ProgressCountsPaths) {
  Random random(std::random_device{}());
  const std::int64_t n = 400;
  const Matrix<double> x = gaussian<double>(random, n, 2), y = gaussian<double>(random, n, 2, 0.2, 5);
  const Matrix<double> c = cost_matrix(x, y, Cost::squared_euclidean);
  std::int64_t told = -1;
  const SolveWatch watch = [&](const SolveProgress& at) {
    told = at.iterations;
    return true;
  };
  const SolveLimits limits(SolveLimits::kNoIterations, SolveLimits::kNoSeconds, &watch);
  DenseAssignment<double> dense;
  const std::int64_t paths = dense.solve(c.values.data(), n, n, limits);
  ASSERT_GT(paths, 1);
  const double asked = limits.seconds();
  while (limits.seconds() < asked + 0.11) {
  }
  EXPECT_FALSE(limits.out_of_time());
  EXPECT_GE(told, paths - 1);
  EXPECT_LE(told, paths);
}

// A pairing that is complete, but solved again for more digits, is the answer where a limit comes first.
TEST(Exact, ALimitKeepsACompletePairing) {
  Random random(std::random_device{}());
  const SolveLimits none;
  // Few pairs that do not cost 1e10: potentials of that size appear.
  int solved_again = 0;
  for (int draw = 0; draw < 4000 && solved_again < 3; ++draw) {
    const std::int64_t n = 90;
    Matrix<double> c(n, n);
    for (double& value : c.values)
      value = random() % 20 == 0 ? std::uniform_real_distribution<double>(1, 2)(random) : 1e10;
    for (std::int64_t i = 0; i < n; ++i) c(i, 7 * i % n) = std::uniform_real_distribution<double>(2, 3)(random);
    DenseAssignment<double> dense;
    const std::int64_t first = dense.solve(c.values.data(), n, n, none);
    Matrix<double> lowered = c;
    if (first == 0 || solve_sharply(dense, lowered.values, n, n, none) == first) continue;
    ++solved_again;
    const Assignment result =
        solve_exact(Problem::from_matrix(c.view()), {.algorithm = ExactAlgorithm::dense, .max_iterations = first});
    const double optimum = reference_total(c) / n;
    EXPECT_NEAR(result.certificate.primal_cost, optimum, 1e-4 * optimum);
    EXPECT_EQ(result.status, SolveStatus::iteration_limit);
  }
  EXPECT_GT(solved_again, 0);

  // Clusters far apart, which potentials have to bridge: the multilevel solver's digits are not enough for what the
  // pairs cost, and the dense one follows.
  for (const bool auction : {false, true}) {
    const std::int64_t clusters = auction ? 20 : 8, n = 40 * clusters;
    const Matrix<double> centre = gaussian<double>(random, clusters, 2, 1e7);
    Matrix<double> x = gaussian<double>(random, n, 2), y = gaussian<double>(random, n, 2);
    for (Matrix<double>* points : {&x, &y})
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t k = 0; k < 2; ++k) (*points)(i, k) += centre(i % clusters, k);
    const Problem problem = Problem::from_points(x.view(), y.view());
    MultilevelAssignment multilevel;
    Assignment found;
    const auto size = static_cast<std::size_t>(n);
    found.sigma.assign(size, -1);
    found.f.assign(size, 0.0);
    found.g.assign(size, 0.0);
    const std::int64_t budget =
        auction ? MultilevelAssignment::usual_budget(n) : std::numeric_limits<std::int64_t>::max();
    if (!multilevel.solve_to_gap(problem, auction ? 1e-6 : 0, {}, budget, none, 1, found)) continue;
    ASSERT_TRUE(one_to_one(found.sigma, n));
    ASSERT_FALSE(is_sharp(problem, found));
    const double had = total_of(cost_matrix(x, y, Cost::squared_euclidean), found.sigma) / static_cast<double>(n);
    for (const std::int64_t more : {0, 1, 4}) {
      const std::int64_t most = found.iterations + more;
      const Assignment result =
          auction
              ? solve_auction(problem, {.threads = 1, .max_iterations = most})
              : solve_exact(problem, {.algorithm = ExactAlgorithm::multilevel, .threads = 1, .max_iterations = most});
      EXPECT_LE(result.certificate.primal_cost, had * (1 + 1e-6)) << auction << ", " << more;
      EXPECT_TRUE(result.certificate.is_permutation);
      EXPECT_TRUE(std::isfinite(result.certificate.gap));
    }
  }
}

}  // namespace
}  // namespace otnfm::test
