// The device's auction, on every device of the build (under simt: the CUDA kernels), against an independent Hungarian
// algorithm.
#include "ot/device_auction.h"

#include <gtest/gtest.h>

#include <atomic>

#include <string>

#include "kernels/error.h"
#include "ot/exact.h"
#include "tests/kernels/on_devices.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

// Float costs: what they round away, of the largest, is not judged.
void expect_device_within(const Matrix<double>& c, const Assignment& result, double max_gap) {
  ASSERT_TRUE(one_to_one(result.sigma, c.columns));
  EXPECT_EQ(result.status, SolveStatus::converged);
  double size = 0;
  for (const double value : c.values) size = std::max(size, std::fabs(value));
  const double wanted = reference_total(c), got = total_of(c, result.sigma);
  const double rounding = 1e-9 * std::fabs(wanted) + 1e-13 * size;
  EXPECT_TRUE(got >= wanted - rounding);
  EXPECT_TRUE(got - wanted <= max_gap * std::fabs(got) + rounding) << "total " << got << ", reference " << wanted;
  EXPECT_TRUE(result.certificate.primal_cost - result.certificate.dual_bound <=
              max_gap * std::fabs(result.certificate.primal_cost) + rounding)
      << "gap " << result.certificate.gap << " of " << max_gap << ", " << result.algorithm;
}

Assignment solve(Stream& stream, const Problem& problem, double max_gap) {
  DeviceAuctionOptions options;
  options.max_gap = max_gap;
  return solve_auction(stream, problem, options);
}

TEST(DeviceAuction, EveryGenerator) {
  Random random(std::random_device{}());
  for (const Device device : devices_at_hand()) {
    Stream stream(device);
    for (const CostGenerator& generator : cost_generators())
      for (const std::int64_t n : {1, 2, 9, 33}) {
        const Matrix<double> made = generator.make(random, n, n);
        Matrix<float> floats(n, n);
        Matrix<double> c(n, n);
        for (std::size_t k = 0; k < c.values.size(); ++k)
          c.values[k] = floats.values[k] = static_cast<float>(made.values[k]);
        for (const double max_gap : {1e-2, 1e-4}) {
          SCOPED_TRACE(std::string(name_of(device)) + ", " + generator.name + ", " + std::to_string(n) + ", gap " +
                       std::to_string(max_gap));
          expect_device_within(c, solve(stream, Problem::from_matrix(floats.view()), max_gap), max_gap);
        }
      }
  }
}

TEST(DeviceAuction, PointsInEveryRegime) {
  Random random(std::random_device{}());
  for (const Device device : devices_at_hand()) {
    Stream stream(device);
    for (const std::int64_t n : {1, 31, 70})
      for (const std::int64_t d : {1, 2, 5, 16, 17, 50})
        for (const bool may_store : {true, false}) {
          const Matrix<float> x = gaussian<float>(random, n, d), y = gaussian<float>(random, n, d, 0.5, 2);
          const Problem problem = Problem::from_points(x.view(), y.view());
          DeviceAuctionOptions options;
          options.max_gap = 1e-3;
          if (!may_store) options.max_stored_bytes = 0;
          SCOPED_TRACE(std::string(name_of(device)) + ", " + describe(problem) + (may_store ? "" : ", streamed"));
          const Assignment result = solve_auction(stream, problem, options);
          expect_device_within(cost_matrix(x, y, Cost::squared_euclidean), result, options.max_gap);
        }
  }
}

TEST(DeviceAuction, TheSameOnEveryDevice) {
  Random random(std::random_device{}());
  const std::int64_t n = 60;
  const Matrix<float> x = gaussian<float>(random, n, 3), y = gaussian<float>(random, n, 3);
  std::vector<Assignment> results;
  for (const Device device : devices_at_hand()) {
    Stream stream(device);
    results.push_back(solve(stream, Problem::from_points(x.view(), y.view()), 1e-3));
  }
  for (const Assignment& result : results) {
    EXPECT_EQ(result.sigma, results[0].sigma);
    EXPECT_EQ(result.g, results[0].g);
    EXPECT_EQ(result.iterations, results[0].iterations);
  }
}

TEST(DeviceAuction, WarmStartsAndHardInput) {
  Random random(std::random_device{}());
  for (const Device device : devices_at_hand()) {
    Stream stream(device);
    const std::int64_t n = 50;
    const Matrix<float> x = gaussian<float>(random, n, 2), y = gaussian<float>(random, n, 2);
    const Matrix<double> c = cost_matrix(x, y, Cost::squared_euclidean);
    const Problem problem = Problem::from_points(x.view(), y.view());
    DeviceAuctionOptions options;
    std::vector<double> start = solve_exact(problem).g;
    for (const double noise : {0.0, 1e-2, 1.0, 1e9}) {
      for (double& value : start) value += noise * std::normal_distribution<double>()(random);
      options.warm_start = start;
      SCOPED_TRACE("noise of " + std::to_string(noise));
      expect_device_within(c, solve_auction(stream, problem, options), options.max_gap);
    }
    // One cloud twice, and one point: no gap of float32 costs is small beside a cost of 0.
    expect_device_within(cost_matrix(x, x, Cost::squared_euclidean),
                         solve(stream, Problem::from_points(x.view(), x.view()), 1e-3), 1e-3);
    const Matrix<float> one(n, 2);
    expect_device_within(cost_matrix(one, one, Cost::squared_euclidean),
                         solve(stream, Problem::from_points(one.view(), one.view()), 1e-3), 1e-3);
  }
}

// A watch ends it in every part: rounds, what the host does, and the proof. What is left over is matched all the same.
TEST(DeviceAuction, TheWatchIsAskedEverywhere) {
  Random random(std::random_device{}());
  Stream stream(Device::cpu);
  // As many points as take longer than it takes to be asked.
  std::int64_t n = 1000;
  Matrix<float> x(0, 40), y(0, 40);
  for (std::atomic<int> asked = 0; asked == 0 && n < 16000;) {
    n *= 2;
    x = gaussian<float>(random, n, 40);
    y = gaussian<float>(random, n, 40);
    DeviceAuctionOptions options;
    options.watch = [&](const SolveProgress&) { return asked++ == -1; };
    solve_auction(stream, Problem::from_points(x.view(), y.view()), options);
  }
  for (const bool left_to_host : {false, true}) {
    // No gap of float32 costs is as small as this, so the host ends it.
    const double max_gap = left_to_host ? 1e-9 : 1e-3;
    const Problem problem = Problem::from_points(x.view(), y.view());
    for (const int allowed : {0, 1, 2}) {
      std::atomic<int> asked = 0;
      DeviceAuctionOptions options;
      options.max_gap = max_gap;
      options.watch = [&](const SolveProgress&) { return asked++ < allowed; };
      const Assignment result = solve_auction(stream, problem, options);
      EXPECT_TRUE(one_to_one(result.sigma, n));
      if (asked > allowed) {
        // It may have been near enough when it was stopped, which the proof, if there was any, says.
        EXPECT_TRUE(result.status == SolveStatus::interrupted ||
                    (result.certificate.proven_rows == n && result.certificate.gap <= max_gap))
            << name_of(result.status);
      } else {
        EXPECT_GT(allowed, 0) << "solved in less than it takes to be asked";
        EXPECT_EQ(result.status, SolveStatus::converged);
        EXPECT_LE(result.certificate.gap, std::max(max_gap, 1e-9));
      }
      if (result.certificate.proven_rows < n) {
        EXPECT_EQ(result.status, SolveStatus::interrupted);
      }
    }
  }
}

// A proof that a limit cuts off proves nothing, and is not called converged.
TEST(DeviceAuction, ACutProofIsNotConverged) {
  Random random(std::random_device{}());
  Stream stream(Device::cpu);
  const std::int64_t n = 400;
  const Matrix<float> x = gaussian<float>(random, n, 3), y = gaussian<float>(random, n, 3);
  const Problem problem = Problem::from_points(x.view(), y.view());
  for (const double seconds : {0.0, 1e-3, 1e-2, 3e-2, 0.1, 0.3}) {
    DeviceAuctionOptions options;
    options.max_seconds = seconds;
    const Assignment result = solve_auction(stream, problem, options);
    EXPECT_TRUE(one_to_one(result.sigma, n));
    if (result.certificate.proven_rows < n) {
      EXPECT_EQ(result.status, SolveStatus::time_limit) << seconds;
    }
    if (result.status == SolveStatus::converged) {
      EXPECT_LE(result.certificate.gap, options.max_gap);
    }
    EXPECT_LE(result.certificate.dual_bound, result.certificate.primal_cost);
  }
}

TEST(DeviceAuction, CapsAndBadInput) {
  Random random(std::random_device{}());
  Stream stream(devices_at_hand().back());
  const Matrix<float> x = gaussian<float>(random, 200, 2), y = gaussian<float>(random, 200, 2), none(0, 2);
  const Problem problem = Problem::from_points(x.view(), y.view());
  DeviceAuctionOptions options;
  options.max_iterations = 1;
  const Assignment capped = solve_auction(stream, problem, options);
  EXPECT_EQ(capped.status, SolveStatus::iteration_limit);
  EXPECT_TRUE(capped.certificate.dual_bound <= solve_exact(problem).certificate.primal_cost * (1 + 1e-12));
  EXPECT_EQ(solve(stream, Problem::from_points(none.view(), none.view()), 1e-3).status, SolveStatus::converged);
  EXPECT_THROW(solve(stream, problem, 0), InputError);
  EXPECT_THROW(solve(stream, Problem::from_points(x.view(), y.view().row_slice(0, 100)), 1e-3), InputError);
  EXPECT_THROW(solve(stream, Problem::from_points(x.view(), y.view(), Cost::euclidean), 1e-3), InputError);
  const Matrix<double> wide(3, 3);
  EXPECT_THROW(solve(stream, Problem::from_matrix(wide.view()), 1e-3), InputError);
  Matrix<float> bad = x;
  bad(3, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(solve(stream, Problem::from_points(bad.view(), y.view()), 1e-3), InputError);
}

}  // namespace
}  // namespace otnfm::test
