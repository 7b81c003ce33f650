// The estimate of E tr Var[x1 | x0] against what is known in closed form, and its extremes.
#include "engine/couplings/conditional_variance.h"
#include "engine/metrics/collapse.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/couplings/coupling.h"

namespace otnfm {
namespace {

double minibatch_conditional_variance(const Source& source, const Dataset& target, std::int64_t batch,
                                      std::uint64_t seed) {
  BatchSolver exact({.solver = "exact"}, Device::cpu);
  return otnfm::minibatch_conditional_variance(source, target, batch, seed, exact);
}

TEST(ConditionalVariance, OfABatchOfOneIsTheVarianceOfTheData) {
  const Dataset data = open_dataset("8gaussians");
  const double variance = total_variance(data, 3);
  const double estimate = minibatch_conditional_variance(Source::gaussian(2), data, 1, 3);
  EXPECT_TRUE(std::abs(estimate - variance) <= 0.15 * variance) << estimate << " " << variance;
}

// Data -1 and 1, and noise on the line: a batch of two pairs in order. A noise x meets 1 if the batch has two of them,
// -1 if none, else if it is the larger: with p = P(other < x), P(1) = 1/4 + p/2, Var = 1 - (p - 1/2)^2, and p is
// uniform: E Var = 1 - 1/12.
TEST(ConditionalVariance, OfABatchOfTwoIsWhatItIsByHand) {
  const Dataset data = Dataset::points("signs", {-1, 1}, 1);
  double mean = 0;
  for (std::uint64_t seed = 0; seed < 16; ++seed)
    mean += minibatch_conditional_variance(Source::gaussian(1), data, 2, seed) / 16;
  EXPECT_TRUE(std::abs(mean - 11.0 / 12) <= 0.03) << mean;
}

TEST(ConditionalVariance, OfALargeBatchOnALineIsNearNone) {
  double last = 1;  // of the data
  for (std::int64_t batch : {8, 64, 512}) {
    const double estimate = minibatch_conditional_variance(Source::gaussian(1), Dataset::gaussian(1), batch, 1);
    EXPECT_TRUE(estimate > 0 && estimate < 0.7 * last) << batch << ": " << estimate;
    last = estimate;
  }
  EXPECT_LT(last, 0.04);
}

TEST(ConditionalVariance, IsAFunctionOfTheSeedAndNotTriedWhereItIsExpensive) {
  const Dataset data = open_dataset("moons");
  const Source source = Source::gaussian(2);
  const double estimate = minibatch_conditional_variance(source, data, 16, 7);
  EXPECT_EQ(estimate, minibatch_conditional_variance(source, data, 16, 7));
  EXPECT_NE(estimate, minibatch_conditional_variance(source, data, 16, 8));
  EXPECT_TRUE(std::isnan(minibatch_conditional_variance(source, data, 513, 7)));
  EXPECT_TRUE(std::isnan(minibatch_conditional_variance(Source::gaussian(784), Dataset::gaussian(784), 256, 7)));
}

}  // namespace
}  // namespace otnfm
