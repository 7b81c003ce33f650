#include "kernels/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "kernels/error.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

std::vector<float> random_floats(std::mt19937_64& random, std::size_t n) {
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& x : values) x = normal(random);
  return values;
}

TEST(AdamW, LeavesEverythingAloneWhereTheClipScaleIsNan) {
  std::mt19937_64 random(std::random_device{}());
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    const std::size_t n = 1027;
    const std::vector<float> start = random_floats(random, n);
    const DeviceArray<float> value(stream, start), m(stream, start), v(stream, start), ema(stream, start);
    const DeviceArray<float> gradient(stream, std::vector<float>(n, std::numeric_limits<float>::quiet_NaN()));
    const DeviceArray<float> scale(stream, {std::numeric_limits<float>::quiet_NaN()});
    const DeviceArray<std::uint64_t> step(stream, {3});
    adamw(stream, {.value = value.vector(),
                   .m = m.vector(),
                   .v = v.vector(),
                   .ema = ema.vector(),
                   .gradient = gradient.vector(),
                   .clip_scale = scale.vector(),
                   .step = step.vector(),
                   .decayed = 10,
                   .schedule = {}});
    EXPECT_EQ(value.values(), start);
    EXPECT_EQ(m.values(), start);
    EXPECT_EQ(v.values(), start);
    EXPECT_EQ(ema.values(), start);
  }
}

// Many steps, the counter advanced by its own op: the bias corrections, the schedule and the moving average follow it.
TEST(AdamW, FollowsTheDoubleTrajectory) {
  std::mt19937_64 random(std::random_device{}());
  const Schedule schedule = {
      .kind = Schedule::Kind::cosine, .base = 1e-2f, .final_fraction = 0.05f, .warmup = 10, .total = 100};
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    const std::size_t n = 37, decayed = 20;
    const std::vector<float> start = random_floats(random, n);
    std::vector<double> value(start.begin(), start.end()), m(n), v(n), ema = value;
    const DeviceArray<float> value_d(stream, start), m_d(stream, std::vector<float>(n)),
        v_d(stream, std::vector<float>(n)), ema_d(stream, start);
    const DeviceArray<std::uint64_t> step(stream, {0});
    for (int k = 0; k < 110; ++k) {
      const std::vector<float> gradient = random_floats(random, n);
      const DeviceArray<float> gradient_d(stream, gradient);
      adamw(stream, {.value = value_d.vector(),
                     .m = m_d.vector(),
                     .v = v_d.vector(),
                     .ema = ema_d.vector(),
                     .gradient = gradient_d.vector(),
                     .step = step.vector(),
                     .decayed = decayed,
                     .schedule = schedule,
                     .weight_decay = 0.1f,
                     .ema_decay = 0.9f});
      advance_step(stream, {.step = step.vector()});
      const double rate = k < 10    ? 1e-2 * (k + 1) / 10
                          : k < 100 ? 1e-2 * (0.05 + 0.95 * (1 + std::cos(3.14159265358979 * (k - 10) / 90)) / 2)
                                    : 1e-2 * 0.05;
      const double beta1 = 0.9f, beta2 = 0.999f;  // 1 - 0.999f is 0.001 to five digits only
      for (std::size_t i = 0; i < n; ++i) {
        const double g = gradient[i];
        m[i] = beta1 * m[i] + (1 - beta1) * g;
        v[i] = beta2 * v[i] + (1 - beta2) * g * g;
        const double direction =
            m[i] / (1 - std::pow(beta1, k + 1)) / (std::sqrt(v[i] / (1 - std::pow(beta2, k + 1))) + 1e-8);
        value[i] -= rate * (direction + (i < decayed ? 0.1 : 0.0) * value[i]);
        ema[i] += (1 - std::min(0.9, (1.0 + k) / (10 + k))) * (value[i] - ema[i]);
      }
    }
    EXPECT_EQ(step.values()[0], 110u);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(value_d.values()[i], value[i], 1e-5);
      EXPECT_NEAR(ema_d.values()[i], ema[i], 1e-5);
      EXPECT_NEAR(m_d.values()[i], m[i], 1e-6);
      EXPECT_NEAR(v_d.values()[i], v[i], 1e-6);
    }
  }
}

TEST(AdamW, RefusesWrongArguments) {
  Stream stream(Device::cpu);
  float memory[8] = {};
  const std::uint64_t steps[2] = {};
  const View<float> four(memory, {4});
  const AdamW right = {.value = four,
                       .m = four,
                       .v = four,
                       .ema = four,
                       .gradient = four,
                       .step = {steps, {1}},
                       .decayed = 4,
                       .schedule = {}};
  const auto refused = [&](auto change) {
    AdamW wrong = right;
    change(wrong);
    EXPECT_THROW(adamw(stream, wrong), InputError);
  };
  EXPECT_NO_THROW(adamw(stream, right));
  const View<float> three(memory, {3}), nowhere(nullptr, {4});
  refused([&](AdamW& a) { a.value = three; });
  refused([&](AdamW& a) { a.value = View<float>(memory, {2, 2}); });
  refused([&](AdamW& a) { a.m = three; });
  refused([&](AdamW& a) { a.v = nowhere; });
  refused([&](AdamW& a) { a.ema = three; });
  refused([&](AdamW& a) { a.gradient = nowhere; });
  refused([&](AdamW& a) { a.clip_scale = three; });
  refused([&](AdamW& a) { a.step = {}; });
  refused([&](AdamW& a) { a.step = {steps, {2}}; });
  refused([&](AdamW& a) { a.decayed = 5; });
  refused([&](AdamW& a) { a.decayed = -1; });
  refused([&](AdamW& a) { a.beta1 = 1; });
  refused([&](AdamW& a) { a.beta2 = std::numeric_limits<float>::quiet_NaN(); });
  refused([&](AdamW& a) { a.epsilon = -1; });
  refused([&](AdamW& a) { a.weight_decay = -1; });
  refused([&](AdamW& a) { a.ema_decay = 2; });
  EXPECT_THROW(advance_step(stream, {.step = {}}), InputError);
}

}  // namespace
}  // namespace otnfm
