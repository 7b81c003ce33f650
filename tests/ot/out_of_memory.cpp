// Where memory does not suffice: each larger allocation of each solver is refused in turn, and the error must say how
// many bytes that one was, and what for.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "kernels/host_vector.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/coupler.h"
#include "ot/device_auction.h"
#include "ot/device_sinkhorn.h"
#include "ot/exact.h"
#include "ot/semidiscrete.h"
#include "ot/sinkhorn.h"
#include "tests/kernels/on_devices.h"
#include "tests/ot/instances.h"
#include "tests/ot/refused_allocations.h"

namespace otnfm::test {
namespace {

/// Refuses larger allocations of solve(), each of the first and some of the others, until it needs no more of them. The
/// errors name one of the `purposes`, as "the certificate of ". On a device the runtime allocates too, at every kernel
/// under simt: then the bytes may be missing, and fewer are refused.
void expect_named(const std::vector<std::string>& purposes, const std::string& subject,
                  const std::function<void()>& solve, Device device = Device::cpu) {
  const bool on_cpu = device == Device::cpu;
  solve();  // oneDNN keeps what it takes for a shape
  Random random(std::random_device{}());
  const std::int64_t first = on_cpu ? 40 : 8, stride = on_cpu ? 24 : 400;
  for (std::int64_t granted = 0;;
       granted += granted < first ? 1 : 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(stride))) {
    std::string said;
    refused = 0;
    until_refused = granted;
    try {
      solve();
    } catch (const RunError& error) {
      said = error.what();
    } catch (const std::bad_alloc& error) {
      said = std::string("std::bad_alloc: ") + error.what();
    }
    until_refused = -1;
    if (refused == 0) {
      EXPECT_EQ(said, "");
      EXPECT_GT(granted, 0) << subject << " took no memory";
      return;
    }
    const std::string begin = "out of memory on cpu: " + std::to_string(refused) + " bytes for ";
    ASSERT_TRUE(std::any_of(purposes.begin(), purposes.end(),
                            [&](const std::string& purpose) {
                              return said == begin + purpose + subject ||
                                     (!on_cpu && said == "out of memory on cpu for " + purpose + subject);
                            }))
        << "'" << said << "' for " << refused << " bytes after " << granted << " other allocations";
  }
}

template <class T>
Matrix<T> normal_points(Random& random, std::int64_t n, std::int64_t d) {
  std::normal_distribution<double> normal;
  Matrix<T> points(n, d);
  for (T& value : points.values) value = static_cast<T>(normal(random));
  return points;
}

/// While it lives all is granted: what a solver is made of before it knows a problem, some KB, is not what is refused.
class AllGranted {
 public:
  AllGranted() : left_(until_refused.exchange(-1)) {}
  ~AllGranted() { until_refused = left_; }

 private:
  std::int64_t left_;
};

ExactWorkspace exact_workspace(int threads = 1) {
  const AllGranted granted;
  ExactWorkspace workspace;
  const Matrix<double> points(2, 2);
  const std::vector<Problem> few(static_cast<std::size_t>(threads), Problem::from_points(points.view(), points.view()));
  std::vector<Assignment> results(few.size());
  solve_exact_batch(few, {.threads = threads}, workspace, results);
  return workspace;
}

AuctionWorkspace auction_workspace() {
  const AllGranted granted;
  AuctionWorkspace workspace;
  const Matrix<double> points(2, 2);
  Assignment result;
  solve_auction(Problem::from_points(points.view(), points.view()), {}, workspace, result);
  return workspace;
}

class OutOfMemoryOf : public testing::TestWithParam<int> {  // threads
 protected:
  void SetUp() override {
    if (!kCanRefuse) GTEST_SKIP() << "ThreadSanitizer grants everything";
  }

  Random random_{std::random_device{}()};

  static void solve_fresh(const Problem& problem, const ExactOptions& options) {
    ExactWorkspace workspace = exact_workspace();
    Assignment result;
    solve_exact(problem, options, workspace, result);
  }
};

TEST_P(OutOfMemoryOf, ExactNamesIt) {
  for (const std::int64_t d : {2, 7}) {
    const Matrix<float> x = normal_points<float>(random_, 541, d), y = normal_points<float>(random_, 541, d);
    const Problem problem = Problem::from_points(x.view(), y.view());
    for (const ExactAlgorithm algorithm :
         {ExactAlgorithm::dense, ExactAlgorithm::screened, ExactAlgorithm::multilevel}) {
      const ExactOptions options{.algorithm = algorithm, .certify = false, .threads = GetParam()};
      std::vector<std::string> purposes = {"the exact assignment of "};
      if (algorithm == ExactAlgorithm::screened)
        purposes.insert(purposes.end(),
                        {"the Sinkhorn plan of ", "the pairs of the Sinkhorn plan of ", "the spread of "});
      expect_named(purposes, describe(problem), [&] { solve_fresh(problem, options); });
    }
  }
}

TEST_P(OutOfMemoryOf, ExactOfFewPointsByScreeningNamesIt) {
  const Matrix<float> x = normal_points<float>(random_, 150, 9), y = normal_points<float>(random_, 150, 9);
  const Problem problem = Problem::from_points(x.view(), y.view());
  const ExactOptions options{.algorithm = ExactAlgorithm::screened, .certify = false, .threads = GetParam()};
  expect_named({"the exact assignment of "}, describe(problem), [&] { solve_fresh(problem, options); });
}

TEST_P(OutOfMemoryOf, ExactOfIntegersNamesIt) {
  Matrix<std::int32_t> costs(260, 300);
  for (std::int32_t& value : costs.values) value = static_cast<std::int32_t>(random_() % 1000);
  const Problem problem = Problem::from_matrix(costs.view());
  const ExactOptions options{.certify = false, .threads = GetParam()};
  expect_named({"the exact assignment of "}, describe(problem), [&] { solve_fresh(problem, options); });
}

// A workspace that a failure went through still serves.
TEST_P(OutOfMemoryOf, ExactGoesOnAfterIt) {
  const Matrix<float> x = normal_points<float>(random_, 300, 2), y = normal_points<float>(random_, 300, 2);
  const Problem problem = Problem::from_points(x.view(), y.view());
  for (const ExactAlgorithm algorithm : {ExactAlgorithm::dense, ExactAlgorithm::screened, ExactAlgorithm::multilevel}) {
    const ExactOptions options{.algorithm = algorithm, .threads = GetParam()};
    const Assignment wanted = solve_exact(problem, options);
    for (const std::int64_t granted : {0, 3, 9, 20, 40}) {
      ExactWorkspace workspace = exact_workspace();
      Assignment result;
      until_refused = granted;
      try {
        solve_exact(problem, options, workspace, result);
      } catch (const RunError&) {
      }
      until_refused = -1;
      solve_exact(problem, options, workspace, result);
      EXPECT_EQ(result.sigma, wanted.sigma) << result.algorithm;
      EXPECT_TRUE(result.certificate.gap < 1e-9) << result.algorithm;
    }
  }
}

// A complete pairing that is only solved again for more digits stays the answer where those find no memory.
TEST_P(OutOfMemoryOf, ExactKeepsACompletePairing) {
  const std::int64_t clusters = 8, n = 40 * clusters;
  const Matrix<double> centre = normal_points<double>(random_, clusters, 2);
  Matrix<double> x = normal_points<double>(random_, n, 2), y = normal_points<double>(random_, n, 2);
  for (Matrix<double>* points : {&x, &y})
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t k = 0; k < 2; ++k) (*points)(i, k) += 1e7 * centre(i % clusters, k);
  const Problem problem = Problem::from_points(x.view(), y.view());
  const ExactOptions options{.algorithm = ExactAlgorithm::multilevel, .threads = GetParam()};
  const Assignment wanted = solve_exact(problem, options);
  if (wanted.algorithm != name_of(ExactAlgorithm::dense)) GTEST_SKIP() << "the first answer has digits enough";
  int kept = 0;
  for (std::int64_t granted = 0;; ++granted) {
    ExactWorkspace workspace = exact_workspace(GetParam());
    Assignment result;
    refused = 0;
    until_refused = granted;
    bool threw = false;
    try {
      solve_exact(problem, options, workspace, result);
    } catch (const RunError&) {
      threw = true;
    }
    until_refused = -1;
    if (refused == 0) break;
    if (threw) continue;
    ++kept;
    EXPECT_TRUE(one_to_one(result.sigma, n));
    // It is what it says.
    const Certificate& proof = result.certificate;
    const double optimum = wanted.certificate.primal_cost;
    EXPECT_TRUE(proof.primal_cost >= optimum * (1 - 1e-9) && proof.dual_bound <= optimum * (1 + 1e-9));
    EXPECT_EQ(result.status, proof.gap <= 1e-9 ? SolveStatus::converged : SolveStatus::numerical_failure);
  }
  EXPECT_GT(kept, 0);
}

TEST_P(OutOfMemoryOf, ABatchNamesTheProblem) {
  const std::int64_t n = 200, d = 5;
  std::vector<Matrix<float>> points;
  points.reserve(6);
  for (int k = 0; k < 6; ++k) points.push_back(normal_points<float>(random_, n, d));
  std::vector<Problem> problems;
  for (int k = 0; k < 6; k += 2) problems.push_back(Problem::from_points(points[k].view(), points[k + 1].view()));
  expect_named({"the exact assignment of "}, describe(problems[0]), [&] {
    ExactWorkspace workspace = exact_workspace(GetParam());
    std::vector<Assignment> results(problems.size());
    solve_exact_batch(problems, {.algorithm = ExactAlgorithm::dense, .certify = false, .threads = GetParam()},
                      workspace, results);
  });
}

TEST_P(OutOfMemoryOf, TheAuctionNamesIt) {
  const auto expect = [&](const Problem& problem, double max_gap) {
    expect_named({"the auction of "}, describe(problem), [&] {
      AuctionWorkspace workspace = auction_workspace();
      Assignment result;
      solve_auction(problem, {.max_gap = max_gap, .certify = false, .threads = GetParam()}, workspace, result);
    });
  };
  const Matrix<float> x = normal_points<float>(random_, 400, 2), y = normal_points<float>(random_, 400, 2);
  expect(Problem::from_points(x.view(), y.view()), 1e-3);
  const Matrix<double> a = normal_points<double>(random_, 280, 12), b = normal_points<double>(random_, 301, 12);
  expect(Problem::from_points(a.view(), b.view()), 1e-2);
  expect(Problem::from_points(a.view(), b.view(), Cost::euclidean), 1e-6);
  Matrix<std::int64_t> costs(270, 270);
  for (std::int64_t& value : costs.values) value = static_cast<std::int64_t>(random_() % 100);
  expect(Problem::from_matrix(costs.view()), 0);
}

TEST_P(OutOfMemoryOf, SinkhornNamesItAndItsPairsToo) {
  const Matrix<float> x = normal_points<float>(random_, 300, 6), y = normal_points<float>(random_, 300, 6);
  for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean}) {
    const Problem problem = Problem::from_points(x.view(), y.view(), cost);
    for (const std::int64_t most_bytes : {std::int64_t{1} << 30, std::int64_t{0}}) {
      SinkhornOptions options{.epsilon = 0.1, .tolerance = 0.05, .most_bytes = most_bytes, .threads = GetParam()};
      expect_named({"the Sinkhorn plan of ", "the spread of "}, describe(problem), [&] {
        SinkhornSolver fresh = [] {
          const AllGranted granted;
          return SinkhornSolver();
        }();
        SinkhornResult result;
        fresh.solve(problem, options, result);
      });
      SinkhornSolver solver;
      SinkhornResult plan;
      solver.solve(problem, options, plan);
      const std::vector<std::string> pairs = {"the pairs of the Sinkhorn plan of "};
      expect_named(pairs, describe(problem), [&] { (void)solver.argmax_pairs(false); });
      expect_named(pairs, describe(problem), [&] { (void)solver.sample_pairs(1, 0, false); });
      expect_named(pairs, describe(problem), [&] { (void)solver.round_to_permutation(0, 1e9, false); });
    }
  }
}

TEST_P(OutOfMemoryOf, WhatOnlyLooksNamesIt) {
  const Matrix<double> x = normal_points<double>(random_, 300, 9), y = normal_points<double>(random_, 310, 9);
  const Problem problem = Problem::from_points(x.view(), y.view());
  const std::vector<double> g(310, 0.0);
  std::vector<std::int64_t> sigma(300);
  std::iota(sigma.begin(), sigma.end(), 0);
  expect_named({"the certificate of "}, describe(problem), [&] { (void)certify(problem, sigma, g, GetParam()); });
  expect_named({"the c-transform of "}, describe(problem), [&] { (void)c_transform(problem, g); });
  expect_named({"the c-transform of "}, describe(problem), [&] { (void)transport_dual_bound(problem, g); });
  expect_named({"the spread of "}, describe(problem), [&] { (void)cost_spread(problem); });
}

TEST_P(OutOfMemoryOf, SemidiscreteNamesIt) {
  const Matrix<float> points = normal_points<float>(random_, 300, 2);
  const std::uint64_t seed = random_();
  const DrawSource draw = [seed](std::uint64_t batch, View<float> out) {
    std::mt19937_64 random(seed + batch);
    for (std::int64_t k = 0; k < out.size(); ++k) out.data[k] = std::uniform_real_distribution<float>(-2, 2)(random);
  };
  const SemidiscreteOptions options{.stages = {{.first_rate = 0.1, .last_rate = 0.01, .steps = 4, .batch = 256}},
                                    .coarse_levels = GetParam() == 1,
                                    .max_steps = 6};
  expect_named({"the semidiscrete potentials of "}, "300 points, d = 2",
               [&] { (void)solve_semidiscrete(points.view(), draw, options); });
}

TEST(OutOfMemory, OfALibraryNamesThePurpose) {
  try {
    naming_memory([] { return std::string("a test"); }, [] { throw std::bad_alloc(); });
    FAIL();
  } catch (const RunError& error) {
    EXPECT_STREQ(error.what(), "out of memory on cpu for a test");
  }
}

TEST_P(OutOfMemoryOf, ACouplerNamesIt) {
  expect_named({"a Coupler of "}, "100 points, d = 4", [&] { Coupler().prepare(100, 4); });
}

TEST_P(OutOfMemoryOf, OnADeviceTheHostsPartNamesIt) {
  const Matrix<float> x = normal_points<float>(random_, 150, 3), y = normal_points<float>(random_, 150, 3);
  const Problem problem = Problem::from_points(x.view(), y.view());
  for (const Device device : devices_at_hand()) {
    if (GetParam() != 1 && device != Device::cpu) continue;
    Stream stream(device);
    DeviceAuctionOptions auction;
    auction.max_gap = 0.05;
    auction.certify = false;
    expect_named(
        {"the auction of "}, describe(problem), [&] { (void)solve_auction(stream, problem, auction); }, device);
    SinkhornOptions sinkhorn{.epsilon = 0.2, .tolerance = 0.1, .threads = GetParam()};
    expect_named(
        {"the Sinkhorn plan of ", "the spread of "}, describe(problem),
        [&] {
          DeviceSinkhorn solver = [&] {
            const AllGranted granted;
            return DeviceSinkhorn(stream);
          }();
          SinkhornResult result;
          solver.solve(problem, sinkhorn, result);
        },
        device);
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, OutOfMemoryOf, testing::Values(1, 2));

}  // namespace
}  // namespace otnfm::test
