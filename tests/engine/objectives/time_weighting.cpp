// The weightings of time: what is drawn, what it counts, and the loss of a map that stays where it is.
#include "engine/objectives/time_weighting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/objectives/objective.h"
#include "engine/objectives/step_inputs.h"
#include "engine/train/options.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

/// F(t, x) = x at every t.
struct Still : Flow {
  Tensor forward(Tape&, Tensor, Tensor x) override { return x; }
  std::int64_t block_count() const override { return 0; }
  Tensor forward_block(Tape&, std::int64_t, Tensor, Tensor x) override { return x; }
  nlohmann::json configuration() const override { return {}; }
  std::int64_t dimension() const override { return 2; }
};

std::vector<float> fetched(Stream& stream, const View<float>& view) {
  std::vector<float> values(view.size());
  copy_bytes(stream, values.data(), view.data, values.size() * sizeof(float));
  stream.synchronize();
  return values;
}

void check_weightings(Device device) {
  const std::int64_t B = 4096, d = 2;
  std::random_device fresh;
  std::mt19937 random(fresh());
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> points(2 * B * d);
  for (float& v : points) v = normal(random);
  for (const TimeWeighting& weighting : time_weightings()) {
    SCOPED_TRACE(weighting.name);
    Stream stream(device);
    Memory memory(device, points.size() * sizeof(float), "points");
    float* data = reinterpret_cast<float*>(memory.data());
    copy_bytes(stream, data, points.data(), points.size() * sizeof(float));
    Still still;
    Tape tape(device);
    const Pairs pairs{.x0 = tape.external(View<float>(data, {B, d})),
                      .x1 = tape.external(View<float>(data + B * d, {B, d}))};
    const Source source = Source::gaussian(d);
    const Dataset target = Dataset::gaussian(d);
    HeldMemory held;
    StepInputs inputs(tape, source, target, pairs, {.batch = B, .seed = random(), .time_weighting = &weighting}, held);
    const Times times = inputs.times();
    TrainingOptions options;
    options.time_weighting = weighting.name;
    const Tensor loss =
        make_flow_matching(
            {.time_weighting = time_weighting_by_name(options.time_weighting), .source = source, .target = target})
            ->record(tape, still, inputs);
    tape.keep(loss);
    tape.keep(times.t);
    if (times.weight.defined()) tape.keep(times.weight);
    tape.plan();
    tape.run(stream);
    const std::vector<float> t = fetched(stream, tape.view(times.t));
    std::vector<float> weight(B, 1.0f);
    if (times.weight.defined()) weight = fetched(stream, tape.view(times.weight));
    double expected = 0, square = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      double distance = 0;
      for (std::int64_t k = b * d; k < (b + 1) * d; ++k) {
        const double step = static_cast<double>(points[B * d + k]) - points[k];
        distance += step * step;
      }
      const double counted = static_cast<double>(weight[b]) * t[b] * t[b];
      ASSERT_TRUE(t[b] >= 0 && t[b] <= 1) << t[b];
      expected += counted * distance / static_cast<double>(B);
      square += counted / static_cast<double>(B);
    }
    const double got = fetched(stream, tape.view(loss))[0];
    EXPECT_TRUE(std::abs(got - expected) <= 1e-4 * expected) << got << " " << expected;
    // Five standard errors of the mean of t^2, whose standard deviation is 0.298; the other two have hardly any.
    const double error =
        std::string(weighting.name) == "uniform" ? 5 * 0.298 / std::sqrt(static_cast<double>(B)) : 5e-3;
    EXPECT_TRUE(std::abs(square - weighting.mean_weighted_square) <= error)
        << square << " " << weighting.mean_weighted_square;
  }
}

TEST(TimeWeighting, LossOfAStillMapOnTheCpu) {
  check_weightings(Device::cpu);
}

TEST(TimeWeighting, LossOfAStillMapOnCuda) {
  OTNFM_NEEDS_CUDA();
  check_weightings(Device::cuda);
}

}  // namespace
}  // namespace otnfm
