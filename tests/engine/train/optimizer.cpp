// What the options of training make of a gradient.
#include "engine/train/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace otnfm {
namespace {

/// The second moments that one step leaves where the gradient is 2 everywhere.
float second_moment_after_a_step(const TrainingOptions& options) {
  Parameters parameters;
  parameters.add("weight", {3}, Initial::constant(1), /*decayed=*/false);
  parameters.allocate(Device::cpu, 1);
  const View<float> gradient = parameters.gradients();
  std::fill_n(gradient.data, gradient.size(), 2.0f);
  Optimizer optimizer(options, Device::cpu);
  Tape tape(Device::cpu);
  optimizer.record(tape, parameters);
  tape.plan();
  Stream stream(Device::cpu);
  tape.run(stream);
  return parameters.second_moments().data[0];
}

TEST(Optimizer, TakesBeta2FromTheOptions) {
  TrainingOptions options;
  options.clip_norm = 0;
  EXPECT_EQ(second_moment_after_a_step(options), (1 - 0.999f) * 4) << "what runs had before it was an option";
  options.read({{"beta2", 0.75}});
  EXPECT_EQ(second_moment_after_a_step(options), 1);
}

}  // namespace
}  // namespace otnfm
