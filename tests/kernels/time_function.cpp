#include "kernels/time_function.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

constexpr TimeFunctionKind kKinds[] = {TimeFunctionKind::identity, TimeFunctionKind::linear,
                                       TimeFunctionKind::tanh,     TimeFunctionKind::log,
                                       TimeFunctionKind::fourier,  TimeFunctionKind::bounded_fourier};

std::int64_t weights_of(TimeFunctionKind kind, std::int64_t fourier_terms) {
  return kind == TimeFunctionKind::identity ? 0 : is_fourier(kind) ? 2 * fourier_terms : 1;
}

std::vector<float> evaluate(Stream& stream, TimeFunctionKind kind, const std::vector<float>& t,
                            const std::vector<float>& w, std::int64_t K, std::int64_t d) {
  const auto B = static_cast<std::int64_t>(t.size());
  const DeviceArray<float> times(stream, t), weights(stream, w), phi(stream, std::vector<float>(B * d, -9.0f));
  time_function(stream, {.t = times.vector(), .w = weights.matrix(K, d), .phi = phi.matrix(B, d), .kind = kind});
  return phi.values();
}

TEST(TimeFunction, IsExactlyZeroAtZeroWhateverTheWeights) {
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    for (TimeFunctionKind kind : kKinds)
      for (float size : {1e-30f, 0.5f, 3.0f, 100.0f, 1e4f})
        for (std::int64_t d : {2, 40}) {
          const std::int64_t K = weights_of(kind, 3);
          std::vector<float> w(K * d);
          for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = (i % 2 ? -size : size) * (1.0f + 0.1f * static_cast<float>(i));
          for (float phi : evaluate(stream, kind, {0.0f, 0.0f}, w, K, d))
            EXPECT_EQ(phi, 0.0f) << "kind " << static_cast<int>(kind) << ", weights about " << size;
        }
  }
}

TEST(TimeFunction, BoundedFourierStaysBelowOne) {
  std::mt19937_64 random(std::random_device{}());
  std::normal_distribution<float> normal;
  Stream stream(Device::cpu);
  std::vector<float> t(50), w(8 * 30);
  for (std::size_t i = 0; i < t.size(); ++i) t[i] = static_cast<float>(i) / 49;
  for (float& x : w) x = 20 * normal(random);
  for (float phi : evaluate(stream, TimeFunctionKind::bounded_fourier, t, w, 8, 30)) EXPECT_TRUE(std::abs(phi) < 1);
}

TEST(TimeFunction, HandsOnWhatIsNotANumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    for (TimeFunctionKind kind : kKinds) {
      const std::int64_t K = weights_of(kind, 1);
      for (float phi : evaluate(stream, kind, {nan}, std::vector<float>(2 * K, 0.5f), K, 2)) EXPECT_TRUE(phi != phi);
      if (K == 0) continue;
      for (float phi : evaluate(stream, kind, {0.5f}, std::vector<float>(2 * K, nan), K, 2)) EXPECT_TRUE(phi != phi);
    }
  }
}

TEST(TimeFunctionBackward, TakesNoSideOfTheKinkOfAbs) {
  // At a = 0 the bound |a| has no derivative: it counts as 0, and what remains is sin(s t).
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    const DeviceArray<float> t(stream, {0.5f}), w(stream, {0.0f, 2.0f}), dphi(stream, {1.0f}), dw(stream, {9.0f, 9.0f});
    time_function_backward(stream, {.t = t.vector(),
                                    .w = w.matrix(2, 1),
                                    .dphi = dphi.matrix(1, 1),
                                    .dw = dw.matrix(2, 1),
                                    .kind = TimeFunctionKind::bounded_fourier});
    EXPECT_NEAR(dw.values()[0], std::sin(1.0), 1e-6);
    EXPECT_EQ(dw.values()[1], 0.0f);
  }
}

TEST(TimeFunctionBackward, GivesTheSameBitsForAnyNumberOfThreads) {
  std::mt19937_64 random(std::random_device{}());
  std::normal_distribution<float> normal;
  Stream stream(Device::cpu);
  for (std::int64_t d : {2, 130})
    for (TimeFunctionKind kind : kKinds) {
      if (kind == TimeFunctionKind::identity) continue;
      const std::int64_t B = 3001, K = weights_of(kind, 4);
      std::vector<float> t(B), w(K * d), dphi(B * d), first;
      for (float& x : t) x = std::abs(std::remainder(normal(random), 1.0f));
      for (float& x : w) x = normal(random);
      for (float& x : dphi) x = normal(random);
      for (int threads : {1, 2, 3, 5}) {
        const host::ThreadLimit limit(threads);
        std::vector<float> dw(K * d, -9.0f);
        time_function_backward(stream, {.t = {t.data(), {B}},
                                        .w = {w.data(), {K, d}},
                                        .dphi = {dphi.data(), {B, d}},
                                        .dw = {dw.data(), {K, d}},
                                        .kind = kind});
        if (first.empty()) first = dw;
        EXPECT_EQ(dw, first) << threads << " threads, kind " << static_cast<int>(kind) << ", d = " << d;
      }
    }
}

TEST(TimeFunction, RefusesWrongArguments) {
  Stream stream(Device::cpu);
  float memory[64] = {};
  const View<float> t(memory, {3}), phi(memory, {3, 4}), none(nullptr, {0, 4}), one(memory, {1, 4}),
      three(memory, {3, 4});
  const auto forward = [&](View<float> times, View<float> w, View<float> to, TimeFunctionKind kind) {
    time_function(stream, {.t = times, .w = w, .phi = to, .kind = kind});
  };
  EXPECT_NO_THROW(forward(t, none, phi, TimeFunctionKind::identity));
  EXPECT_NO_THROW(forward(t, {}, phi, TimeFunctionKind::identity));
  EXPECT_THROW(forward(t, one, phi, TimeFunctionKind::identity), InputError);
  EXPECT_THROW(forward(t, {}, phi, TimeFunctionKind::linear), InputError);
  EXPECT_THROW(forward(t, none, phi, TimeFunctionKind::tanh), InputError);
  EXPECT_THROW(forward(t, three, phi, TimeFunctionKind::log), InputError);
  EXPECT_THROW(forward(t, three, phi, TimeFunctionKind::fourier), InputError);
  EXPECT_THROW(forward(t, none, phi, TimeFunctionKind::bounded_fourier), InputError);
  EXPECT_THROW(forward(t, {memory, {1, 3}}, phi, TimeFunctionKind::linear), InputError);
  EXPECT_THROW(forward({memory, {4}}, one, phi, TimeFunctionKind::linear), InputError);
  EXPECT_THROW(forward({nullptr, {3}}, one, phi, TimeFunctionKind::linear), InputError);
  EXPECT_THROW(forward(t, {nullptr, {1, 4}}, phi, TimeFunctionKind::linear), InputError);
  EXPECT_THROW(forward(t, one, {nullptr, {3, 4}}, TimeFunctionKind::linear), InputError);
  View<float> padded(memory, {2, 4});
  padded.stride[0] = 6;
  EXPECT_THROW(forward(t, padded, phi, TimeFunctionKind::fourier), InputError);

  const auto backward = [&](View<float> w, View<float> dw, TimeFunctionKind kind) {
    time_function_backward(stream, {.t = t, .w = w, .dphi = phi, .dw = dw, .kind = kind});
  };
  EXPECT_THROW(backward(none, none, TimeFunctionKind::identity), InputError);
  EXPECT_THROW(backward(one, {memory, {1, 3}}, TimeFunctionKind::linear), InputError);
  EXPECT_THROW(backward(one, {nullptr, {1, 4}}, TimeFunctionKind::linear), InputError);
  EXPECT_THROW(backward({memory, {4, 4}}, {memory, {2, 4}}, TimeFunctionKind::fourier), InputError);
}

}  // namespace
}  // namespace otnfm
