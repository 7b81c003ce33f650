// Steps in a row towards the fixed point of a linear map: mixing arrives where plain steps are still far, within the
// tolerance nothing moves any more, and a step that leads astray is taken back.
#include "kernels/fixed_point_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

struct Steps {
  std::vector<double> v;
  double error, iterations;
};

// T(v)_j = rate_j v_j, whose fixed point is 0, with sum |T(v) - v| as the error.
Steps take(Device device, std::vector<double> v, const std::vector<double>& rate, int steps, bool mixing,
           double tolerance, double kick = 1, double relaxation = 1) {
  Stream stream(device);
  const auto m = static_cast<std::int64_t>(v.size());
  const std::vector<double> zeros(v.size(), 0.0);
  const std::vector<float> ones(v.size(), 1.0f);
  const DeviceArray<double> x(stream, v), mapped(stream, zeros), residual(stream, zeros);
  const DeviceArray<double> history(stream, std::vector<double>(v.size() * FixedPointStep::kHistoryRows, NAN));
  const DeviceArray<double> state(stream, std::vector<double>(FixedPointStep::kStateSize, 0.0));
  const DeviceArray<float> marginal(stream, ones), rounded(stream, ones), weight(stream, ones);
  for (int step = 0; step < steps; ++step) {
    v = x.values();
    if (step == 3)
      for (double& value : v) value *= kick;  // as a mixed step that led astray
    std::vector<double> next(v.size()), parts(v.size());
    for (std::size_t j = 0; j < v.size(); ++j) {
      next[j] = rate[j] * v[j];
      parts[j] = std::fabs(next[j] - v[j]);
    }
    copy_bytes(stream, x.data(), v.data(), v.size() * sizeof(double));
    copy_bytes(stream, mapped.data(), next.data(), v.size() * sizeof(double));
    copy_bytes(stream, residual.data(), parts.data(), v.size() * sizeof(double));
    stream.synchronize();
    fixed_point_step(stream, {.v = x.vector(),
                              .mapped = mapped.vector(),
                              .residual = residual.vector(),
                              .marginal = marginal.vector(),
                              .rounded = rounded.vector(),
                              .weight = weight.vector(),
                              .history = history.matrix(FixedPointStep::kHistoryRows, m),
                              .state = state.vector(),
                              .mixing = mixing,
                              .relaxation = relaxation,
                              .tolerance = tolerance});
  }
  const std::vector<double> last = state.values();
  return {x.values(), last[FixedPointStep::kError], last[FixedPointStep::kIterations]};
}

class FixedPointStepOn : public testing::TestWithParam<Device> {};

TEST_P(FixedPointStepOn, MixingArrivesSooner) {
  if (GetParam() == Device::cuda && !cuda_available()) GTEST_SKIP() << "needs CUDA or the simt build";
  std::mt19937_64 random(std::random_device{}());
  std::uniform_real_distribution<double> uniform(0.5, 1);
  std::vector<double> start(40), rate(40);
  for (double& value : start) value = 0.01 * uniform(random);
  for (double& value : rate) value = 1 - 0.2 * uniform(random);
  const Steps plain = take(GetParam(), start, rate, 25, false, 1e-9),
              mixed = take(GetParam(), start, rate, 25, true, 1e-9);
  EXPECT_TRUE(mixed.error <= 1e-9) << mixed.error;
  EXPECT_TRUE(plain.error > 1e-4) << plain.error;
  EXPECT_EQ(plain.iterations, 25);
  EXPECT_TRUE(mixed.iterations < 25);
  const auto arrived = static_cast<int>(mixed.iterations);
  EXPECT_EQ(take(GetParam(), start, rate, arrived, true, 1e-9).v, mixed.v);  // it stayed
}

TEST_P(FixedPointStepOn, OverRelaxationArrivesSoonerThanPlainSteps) {
  if (GetParam() == Device::cuda && !cuda_available()) GTEST_SKIP() << "needs CUDA or the simt build";
  // Rates of 0.9 become |1 - 1.8 (1 - 0.9)| = 0.82.
  const std::vector<double> start(40, 0.01), rate(40, 0.9);
  const Steps plain = take(GetParam(), start, rate, 30, false, 0),
              relaxed = take(GetParam(), start, rate, 30, false, 0, 1, 1.8);
  EXPECT_TRUE(std::fabs(plain.v[0] / (0.01 * std::pow(0.9, 30)) - 1) <= 1e-12) << plain.v[0];
  EXPECT_TRUE(std::fabs(relaxed.v[0] / (0.01 * std::pow(0.82, 30)) - 1) <= 1e-12) << relaxed.v[0];
}

TEST_P(FixedPointStepOn, GoesBackWhereRelaxationLedAstray) {
  if (GetParam() == Device::cuda && !cuda_available()) GTEST_SKIP() << "needs CUDA or the simt build";
  // At a rate of -0.5 a step of 1.9 is one of 1 - 1.9 * 1.5 = -1.85: it goes back as soon as the error has tripled.
  const std::vector<double> start(40, 0.001), rate(40, -0.5);
  const Steps relaxed = take(GetParam(), start, rate, 200, false, 1e-12, 1, 1.9);
  EXPECT_TRUE(relaxed.error <= 1e-3) << relaxed.error;
  EXPECT_TRUE(std::fabs(relaxed.v[0]) < 1e-6) << relaxed.v[0];
}

TEST_P(FixedPointStepOn, GoesBackWhereMixingMixingLedAstray) {
  if (GetParam() == Device::cuda && !cuda_available()) GTEST_SKIP() << "needs CUDA or the simt build";
  const std::vector<double> start(40, 1.0), rate(40, 0.9);
  // Three plain steps, since the error is too large to mix, then v a thousand times as far: the fourth step is from the
  // best v, which was the third's.
  const Steps back = take(GetParam(), start, rate, 4, true, 0, 1000);
  for (const double value : back.v) EXPECT_TRUE(std::fabs(value - 0.9 * 0.9 * 0.9) <= 1e-15) << value;
}

INSTANTIATE_TEST_SUITE_P(Devices, FixedPointStepOn, testing::Values(Device::cpu, Device::cuda),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace otnfm
