#include "kernels/gradient_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

struct Result {
  float norm, clip_scale;
};

Result run(Stream& stream, const std::vector<float>& gradient, float max_norm) {
  const DeviceArray<float> g(stream, gradient), norm(stream, {-9.0f}), scale(stream, {-9.0f});
  gradient_norm(stream,
                {.gradient = g.vector(), .norm = norm.vector(), .clip_scale = scale.vector(), .max_norm = max_norm});
  return {norm.values()[0], scale.values()[0]};
}

TEST(GradientNorm, ClipsOnlyWhatIsLonger) {
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    EXPECT_EQ(run(stream, {3, 4}, 10).norm, 5);
    EXPECT_EQ(run(stream, {3, 4}, 10).clip_scale, 1);
    EXPECT_EQ(run(stream, {3, 4}, 5).clip_scale, 1);
    EXPECT_EQ(run(stream, {3, 4}, 1).clip_scale, 0.2f);
    EXPECT_EQ(run(stream, {3, 4}, 0).clip_scale, 1);
    EXPECT_EQ(run(stream, {3, 4}, -1).clip_scale, 1);
    EXPECT_EQ(run(stream, {0, 0}, 1).norm, 0);
    EXPECT_EQ(run(stream, {0, 0}, 1).clip_scale, 1);
    EXPECT_EQ(run(stream, {}, 1).clip_scale, 1);
    // Squares that a float cannot hold.
    EXPECT_EQ(run(stream, {3e30f, 4e30f}, 0).norm, 5e30f);
    EXPECT_EQ(run(stream, {3e-30f, 4e-30f}, 0).norm, 5e-30f);
  }
}

TEST(GradientNorm, GivesNanWhereTheNormIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (Device device : devices_at_hand()) {
    Stream stream(device);
    for (float bad : {infinity, -infinity, nan})
      for (float max_norm : {1.0f, 0.0f})
        for (std::size_t where : {0, 2000, 8191}) {
          std::vector<float> gradient(8192, 0.5f);
          gradient[where] = bad;
          const Result got = run(stream, gradient, max_norm);
          EXPECT_FALSE(std::isfinite(got.norm)) << bad << " at " << where;
          EXPECT_TRUE(std::isnan(got.clip_scale)) << bad << " at " << where;
        }
    EXPECT_TRUE(std::isnan(run(stream, std::vector<float>(100, 3e38f), 1).clip_scale)) << "beyond float";
  }
}

TEST(GradientNorm, GivesTheSameBitsForAnyNumberOfThreads) {
  std::mt19937_64 random(std::random_device{}());
  std::normal_distribution<float> normal;
  std::vector<float> gradient(300007);
  for (float& g : gradient) g = normal(random) * std::exp(8 * normal(random));
  Stream stream(Device::cpu);
  std::vector<float> norms, scales;
  for (int threads : {1, 2, 3, 5}) {
    const host::ThreadLimit limit(threads);
    const Result got = run(stream, gradient, 1);
    norms.push_back(got.norm), scales.push_back(got.clip_scale);
  }
  EXPECT_EQ(norms, std::vector<float>(4, norms[0]));
  EXPECT_EQ(scales, std::vector<float>(4, scales[0]));
}

TEST(GradientNorm, RefusesWrongArguments) {
  Stream stream(Device::cpu);
  float memory[4] = {};
  const View<float> gradient(memory, {4}), one(memory, {1});
  const auto call = [&](View<float> g, View<float> norm, View<float> scale, float max_norm) {
    gradient_norm(stream, {.gradient = g, .norm = norm, .clip_scale = scale, .max_norm = max_norm});
  };
  EXPECT_THROW(call({memory, {2, 2}}, one, one, 1), InputError);
  EXPECT_THROW(call({nullptr, {4}}, one, one, 1), InputError);
  EXPECT_THROW(call(gradient, {memory, {2}}, one, 1), InputError);
  EXPECT_THROW(call(gradient, one, {nullptr, {1}}, 1), InputError);
  EXPECT_THROW(call(gradient, one, one, std::numeric_limits<float>::quiet_NaN()), InputError);
}

}  // namespace
}  // namespace otnfm
