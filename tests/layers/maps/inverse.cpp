// The inverse of a flow: there and back again at every time, in as few evaluations as mixing allows, and a clear word
// where there is no inverse.
#include "layers/maps/inverse.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "layers/flows/resnet_flow.h"
#include "tests/layers/flows/small_flows.h"

namespace otnfm::test {
namespace {

/// inverse(F(t, x)) against x, and F(t, inverse(y)) against y.
struct RoundTrip {
  double of_x, of_y;
};

RoundTrip round_trip(Flow& flow, FlowInverse& inverse, Device device, Points& points) {
  FlowMap map(flow, device, 16);
  std::vector<float> image(points.values.size()), back(points.values.size()), again(points.values.size());
  const View<float> y(image.data(), {points.n, points.d}), x(back.data(), {points.n, points.d}),
      z(again.data(), {points.n, points.d});
  map(points.t(), points.x(), y);
  inverse(points.t(), y, x);
  map(points.t(), x, z);
  for (std::int64_t i = 0; i < points.n; ++i)
    for (std::int64_t j = 0; j < points.d && points.times[static_cast<std::size_t>(i)] == 0; ++j)
      EXPECT_EQ(x(i, j), points.x()(i, j)) << "t = 0 must change nothing";
  return {relative_difference(x, points.x()), relative_difference(z, y)};
}

TEST(Inverse, ComesBackThroughContractions) {
  std::mt19937_64 random(std::random_device{}());
  for (const Device device : devices())
    for (const auto& [d, n] : {std::pair<std::int64_t, std::int64_t>{1, 33}, {2, 31}, {3, 1}, {17, 37}, {70, 5}}) {
      ContractionFlow flow(d, 3, 24, 0.8, random());
      flow.allocate(device);
      Points points(random, n, d, 2);
      for (const bool mixing : {false, true}) {
        FlowInverse inverse(flow, device, 16, {.mixing = mixing});
        const RoundTrip error = round_trip(flow, inverse, device, points);
        EXPECT_TRUE(error.of_x <= 1e-5) << d << " " << mixing << " " << error.of_x;
        EXPECT_TRUE(error.of_y <= 5e-6) << d << " " << mixing << " " << error.of_y;
        EXPECT_TRUE(inverse.report().residual <= 1e-5);
        EXPECT_EQ(inverse.report().iterations.size(), 3u);
      }
    }
}

TEST(Inverse, MixingTakesFewerEvaluations) {
  std::mt19937_64 random(std::random_device{}());
  for (const bool aligned : {false, true})
    for (const auto& [d, coefficient] : {std::pair{2, 0.5}, {2, 0.9}, {2, 0.97}, {16, 0.9}, {64, 0.9}, {64, 0.97}}) {
      // One aligned block shrinks up to 33-fold, and what rounding takes comes back so many times as large.
      ContractionFlow flow(d, aligned ? 1 : 4, aligned ? d : 64, coefficient, random(), aligned);
      flow.allocate(Device::cpu);
      Points points(random, 256, d);
      std::fill(points.times.begin(), points.times.end(), 1.0f);
      int total[2] = {};
      RoundTrip errors[2];
      for (const bool mixing : {false, true}) {
        FlowInverse inverse(flow, Device::cpu, 256, {.mixing = mixing});
        errors[mixing] = round_trip(flow, inverse, Device::cpu, points);
        for (const int iterations : inverse.report().iterations) total[mixing] += iterations;
      }
      if (std::getenv("OTNFM_VERBOSE"))
        std::printf("%s d %3d, coefficient %.2f: plain %4d evaluations (error %.1e), mixed %3d (%.1e)\n",
                    aligned ? "aligned" : "random ", d, coefficient, total[0], errors[0].of_x, total[1],
                    errors[1].of_x);
      EXPECT_LE(total[1], aligned ? 2 * total[0] / 3 : total[0] + 2) << d << " " << coefficient;
      EXPECT_TRUE(errors[1].of_x <= 1e-5) << errors[1].of_x;
    }
}

TEST(Inverse, ComesBackInClosedForm) {
  std::mt19937_64 random(std::random_device{}());
  for (const Device device : devices())
    for (const std::int64_t half : {1, 7}) {
      AdditiveCoupling flow(half, 13);
      flow.allocate(device, random());
      Points points(random, 33, 2 * half);
      FlowInverse inverse(flow, device, 16);
      const RoundTrip error = round_trip(flow, inverse, device, points);
      EXPECT_TRUE(error.of_x <= 1e-6) << error.of_x;
      EXPECT_TRUE(error.of_y <= 1e-6) << error.of_y;
      EXPECT_TRUE(inverse.report().iterations.empty());
    }
}

TEST(Inverse, TakesTheFlowFromOneTimeToAnother) {
  std::mt19937_64 random(std::random_device{}());
  for (const Device device : devices()) {
    ContractionFlow flow(3, 2, 16, 0.7, random());
    flow.allocate(device);
    Points points(random, 29, 3);
    std::vector<float> later = points.times, at_s(points.values.size()), at_t = at_s, moved = at_s;
    for (float& t : later) t = 1 - t;
    const View<float> t(later.data(), {29, 1});
    FlowMap map(flow, device);
    FlowTransition transition(flow, device);
    map(points.t(), points.x(), {at_s.data(), {29, 3}});
    map(t, points.x(), {at_t.data(), {29, 3}});
    transition(points.t(), t, {at_s.data(), {29, 3}}, {moved.data(), {29, 3}});
    EXPECT_TRUE(relative_difference({moved.data(), {29, 3}}, {at_t.data(), {29, 3}}) <= 1e-5);
  }
}

TEST(Inverse, NothingIsTheInverseOfNothing) {
  ContractionFlow flow(2, 1, 4, 0.5, 1);
  flow.allocate(Device::cpu);
  FlowInverse inverse(flow, Device::cpu, 8);
  inverse({nullptr, {0, 1}}, {nullptr, {0, 2}}, {nullptr, {0, 2}});
  EXPECT_EQ(inverse.report().residual, 0);
}

template <class Error, class Body>
std::string message_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// Two blocks: x + x / 10, and x + 3 x, whose residual is no contraction.
class HalfContractingFlow : public Flow {
 public:
  std::int64_t block_count() const override { return 2; }
  Tensor forward_block(Tape& tape, std::int64_t k, Tensor, Tensor x) override {
    return add(tape, x, scale(tape, x, k == 0 ? 0.1f : 3.0f));
  }
  Inversion inversion() const override { return Inversion::fixed_point; }
  nlohmann::json configuration() const override { return {}; }
  std::int64_t dimension() const override { return 2; }
};

TEST(Inverse, SaysWhichBlockDidNotConverge) {
  std::mt19937_64 random(std::random_device{}());
  HalfContractingFlow flow;
  Points points(random, 64, 2);
  FlowInverse inverse(flow, Device::cpu, 64, {.max_iterations = 23, .mixing = false});
  const std::string message = message_of<RunError>([&] { inverse(points.t(), points.x(), points.x()); });
  for (const char* part : {"block 2 of 2", "residual", "after 23 iterations", "64 of 64 rows"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(Inverse, RefusesWhatHasNoInverse) {
  ResNetFlow free_flow({.dimension = 2});
  free_flow.parameters().allocate(Device::cpu, 1);
  const std::string message = message_of<InputError>([&] { FlowInverse(free_flow, Device::cpu); });
  EXPECT_NE(message.find("resnet"), std::string::npos) << message;
  EXPECT_NE(message.find("invertible"), std::string::npos) << message;

  ContractionFlow flow(2, 1, 4, 0.5, 1);
  flow.allocate(Device::cpu);
  EXPECT_THROW(FlowInverse(flow, Device::cpu, 0), InputError);
  EXPECT_THROW(FlowInverse(flow, Device::cpu, 4, {.tolerance = 0}), InputError);
  EXPECT_THROW(FlowInverse(flow, Device::cpu, 4, {.tolerance = NAN}), InputError);
  EXPECT_THROW(FlowInverse(flow, Device::cpu, 4, {.max_iterations = 0}), InputError);
  FlowInverse inverse(flow, Device::cpu, 4);
  std::vector<float> x(6, 1), t(3, 1);
  EXPECT_THROW(inverse({t.data(), {2, 1}}, {x.data(), {3, 2}}, {x.data(), {3, 2}}), InputError);
  EXPECT_THROW(inverse({t.data(), {3, 1}}, {x.data(), {2, 3}}, {x.data(), {2, 3}}), InputError);
  EXPECT_THROW(inverse({t.data(), {3, 1}}, {x.data(), {3, 2}}, {x.data(), {2, 2}}), InputError);
  x[3] = INFINITY;
  EXPECT_NE(message_of<InputError>([&] {
              inverse({t.data(), {3, 1}}, {x.data(), {3, 2}}, {x.data(), {3, 2}});
            }).find("row 1, column 1"),
            std::string::npos);
}

}  // namespace
}  // namespace otnfm::test
