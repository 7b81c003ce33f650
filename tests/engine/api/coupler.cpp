// A coupler inside a program: optimal pairs, no allocation after prepare.
#include "ot/coupler.h"

#include <gtest/gtest.h>

#include <thread>

#include "kernels/error.h"
#include "ot/exact.h"
#include "tests/engine/api/allocation_count.h"
#include "tests/ot/instances.h"

namespace otnfm::test {
namespace {

std::vector<float> points(Random& random, std::int64_t n, std::int64_t d) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n * d));
  for (float& value : values) value = normal(random);
  return values;
}

TEST(Coupler, PairsOptimally) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (const Cost cost : {Cost::squared_euclidean, Cost::euclidean, Cost::negative_dot}) {
    Coupler coupler(cost);
    coupler.prepare(70, 33);
    for (int round = 0; round < 60; ++round) {
      const auto n = static_cast<std::int64_t>(random() % 71), d = static_cast<std::int64_t>(1 + random() % 33);
      const std::int64_t m = round % 2 == 0 ? n : static_cast<std::int64_t>(random() % 71);
      std::vector<float> x = points(random, n, d), y = points(random, m, d);
      std::vector<std::int64_t> sigma(static_cast<std::size_t>(n), -7);
      const View<float> source(x.data(), {n, d}), target(y.data(), {m, d});
      coupler.pair(source, target, {sigma.data(), {n}});
      Matrix<double> costs(n, m);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < m; ++j) {
          double sum = 0;
          for (std::int64_t k = 0; k < d; ++k)
            sum += cost == Cost::negative_dot ? -double{source(i, k)} * target(j, k)
                                              : std::pow(double{source(i, k)} - target(j, k), 2);
          costs(i, j) = cost == Cost::euclidean ? std::sqrt(sum) : sum;
        }
      ASSERT_TRUE(one_to_one(sigma, m)) << n << " x " << m;
      if (n == 0 || m == 0) continue;
      const double wanted = reference_total(costs), got = total_of(costs, sigma);
      ASSERT_TRUE(std::fabs(got - wanted) <= 1e-9 * (1 + std::fabs(wanted))) << n << " x " << m << ", d = " << d;
      const Certificate certificate = coupler.certificate();
      ASSERT_TRUE(certificate.is_permutation);
      ASSERT_TRUE(certificate.gap <= 1e-9) << certificate.gap;
    }
  }
}

TEST(Coupler, AllocatesNothingAfterPrepareAndThreadsDoNotMeet) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  constexpr std::int64_t kMost = 40, kCalls = 1000;
  constexpr int kThreads = 8;
  const auto pairs = [&](std::int64_t* allocations) {
    Random random(seed);
    Coupler coupler;
    coupler.prepare(kMost, 3);
    const std::vector<float> x = points(random, kMost + 7, 3), y = points(random, kMost + 11, 3);
    std::vector<std::int64_t> all(static_cast<std::size_t>(kCalls * kMost), -2);
    const AllocationCount counted;
    for (std::int64_t call = 0; call < kCalls; ++call) {
      const std::int64_t n = kMost - call % 3, m = call % 4 == 3 ? kMost - call % 5 : n;
      coupler.pair(View<const float>(x.data() + 3 * (call % 7), {n, 3}),
                   View<const float>(y.data() + 3 * (call % 11), {m, 3}), {all.data() + call * kMost, {n}});
    }
    *allocations = counted.count();
    return all;
  };
  std::int64_t allocations = -1;
  const std::vector<std::int64_t> serial = pairs(&allocations);
  EXPECT_EQ(allocations, 0);
  std::vector<std::vector<std::int64_t>> results(kThreads);
  std::vector<std::int64_t> counts(kThreads, -1);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (std::size_t k = 0; k < kThreads; ++k) threads.emplace_back([&, k] { results[k] = pairs(&counts[k]); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t k = 0; k < kThreads; ++k) {
    EXPECT_EQ(results[k], serial);
    EXPECT_EQ(counts[k], 0);
  }
}

TEST(Coupler, NamesWhatIsWrong) {
  Coupler coupler;
  EXPECT_THROW(coupler.prepare(0, 2), InputError);
  EXPECT_THROW(coupler.prepare(1 << 20, 2), InputError);
  EXPECT_THROW(coupler.prepare(2, 0), InputError);
  std::vector<float> x(12, 1.0f);
  std::vector<std::int64_t> sigma(6);
  const View<float> four(x.data(), {4, 2});
  EXPECT_THROW(coupler.pair(four, four, {sigma.data(), {4}}), InputError) << "not prepared";
  coupler.prepare(4, 2);
  coupler.pair(four, four, {sigma.data(), {4}});
  EXPECT_THROW(coupler.pair({x.data(), {6, 2}}, four, {sigma.data(), {6}}), InputError);
  EXPECT_THROW(coupler.pair(four, four, {sigma.data(), {3}}), InputError);
  EXPECT_THROW(coupler.pair({x.data(), {4, 3}}, {x.data(), {4, 3}}, {sigma.data(), {4}}), InputError);
  x[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(coupler.pair(four, four, {sigma.data(), {4}}), InputError);
}

}  // namespace
}  // namespace otnfm::test
