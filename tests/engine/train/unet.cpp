// Training steps of the U-Net flow: the same on every device, and the velocity with the samplers that it needs.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/core/table.h"
#include "engine/generate/generator.h"
#include "engine/generate/model.h"
#include "engine/generate/sampler.h"
#include "engine/objectives/objective.h"
#include "engine/train/optimizer.h"
#include "engine/train/trainer.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

const nlohmann::json kNetwork = {{"family", "unet"}, {"image", "8x8x1"}, {"patch", 1},           {"width", 8},
                                 {"blocks", 1},      {"heads", 2},       {"multipliers", "1:2"}, {"dropout", 0.1}};

struct ShortRun {
  std::unique_ptr<Flow> flow;
  Dataset data;
  Source source = Source::gaussian(1);
  std::unique_ptr<Coupling> coupling;
  std::unique_ptr<Objective> objective;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<Trainer> trainer;
  std::vector<float> losses;

  ShortRun(const nlohmann::json& network, const char* name, Device device, Precision precision, std::int64_t steps,
           std::uint64_t seed)
      : flow(make_flow(network)), data(images(flow->dimension())), source(Source::gaussian(flow->dimension())) {
    TrainingOptions options = default_options(data);
    options.batch = 6;
    options.seed = seed;
    options.precision = precision;
    options.warmup = 0;
    CouplingOptions coupling_options = options.coupling_options(device);
    coupling = find_by_name(couplings(), "independent", "coupling").make(source, data, coupling_options);
    coupling->prepare({});
    objective = find_by_name(objectives(), name, "objective")
                    .make({.time_weighting = time_weighting_by_name(options.time_weighting),
                           .source = source,
                           .target = data,
                           .device = device});
    optimizer = std::make_unique<Optimizer>(options, device);
    trainer = std::make_unique<Trainer>(TrainerParts{.flow = *flow,
                                                     .objective = *objective,
                                                     .optimizer = *optimizer,
                                                     .source = source,
                                                     .target = data,
                                                     .coupling = coupling.get()},
                                        options, device);
    for (std::int64_t k = 0; k < steps; ++k) {
      trainer->run_step();
      losses.push_back(trainer->report().loss);
    }
  }
  static Dataset images(std::int64_t d) {
    std::mt19937 random(5);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> values(static_cast<std::size_t>(20 * d));
    for (float& value : values) value = uniform(random);
    return Dataset::points("images", std::move(values), d);
  }
  std::vector<float> weights() {
    const View<float> values = flow->parameters().values();
    std::vector<float> copy(static_cast<std::size_t>(values.size()));
    copy_bytes(trainer->stream(), copy.data(), values.data, copy.size() * sizeof(float));
    trainer->stream().synchronize();
    return copy;
  }
};

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    squares += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(squares / size);
}

TEST(UNetTraining, TenStepsAreTheSameOnEveryDevice) {
  OTNFM_NEEDS_CUDA();
  const std::uint64_t seed = std::random_device{}() >> 1;
  SCOPED_TRACE(seed);
  ShortRun here(kNetwork, "flow-matching", Device::cpu, Precision::float32, 10, seed);
  ShortRun there(kNetwork, "flow-matching", Device::cuda, Precision::float32, 10, seed);
  for (std::size_t k = 0; k < here.losses.size(); ++k)
    EXPECT_NEAR(there.losses[k], here.losses[k], 1e-4 * std::abs(here.losses[k])) << "step " << k;
  EXPECT_LE(difference(there.weights(), here.weights()), 1e-4);
}

TEST(UNetTraining, LossFallsInBothTypes) {
  ShortRun plain(kNetwork, "flow-matching", Device::cpu, Precision::float32, 60, 3);
  ShortRun rounded(kNetwork, "flow-matching", Device::cpu, Precision::bfloat16, 60, 3);
  const auto mean_of_ten = [](const std::vector<float>& losses, std::size_t from) {
    double sum = 0;
    for (std::size_t k = from; k < from + 10; ++k) sum += losses[k] / 10;
    return sum;
  };
  for (const ShortRun* run : {&plain, &rounded})
    EXPECT_LT(mean_of_ten(run->losses, 50), 0.9 * mean_of_ten(run->losses, 0));
  EXPECT_NEAR(rounded.losses[0], plain.losses[0], 0.02 * plain.losses[0]);
  EXPECT_NEAR(mean_of_ten(rounded.losses, 50), mean_of_ten(plain.losses, 50), 0.1 * mean_of_ten(plain.losses, 50));
}

TEST(UNetTraining, AVelocityIsSampledByItsSteps) {
  ShortRun run(kNetwork, "velocity", Device::cpu, Precision::float32, 5, 4);
  const std::shared_ptr<const Sampler> own = run.objective->sampler();
  nlohmann::json configuration = {{"sampler", own->configuration()}};
  const auto generator = [&](const SamplerChoice& choice) {
    return Generator(model_of(*run.flow, run.source, configuration, run.trainer->stream()), Device::cpu,
                     {.choice = choice});
  };
  EXPECT_EQ(generator({}).prepare(2).nfe(), 100);
  EXPECT_EQ(generator({.steps = 7}).prepare(2).nfe(), 7);
  EXPECT_EQ(generator({.method = "midpoint", .steps = 7}).prepare(2).nfe(), 14);
  EXPECT_THROW(generator({.method = "leapfrog"}), InputError);
  EXPECT_THROW(generator({.steps = 1 << 20}), InputError);
  EXPECT_THROW(generator({}).prepare(2, {.inverse = true}), InputError);
  configuration = nlohmann::json::object();
  EXPECT_EQ(generator({}).prepare(2).nfe(), 1);
  EXPECT_THROW(generator({.steps = 7}), InputError);
}

// A sample is the same bits whatever it is made beside, in both types.
TEST(UNetTraining, ASampleDoesNotDependOnItsBatch) {
  ShortRun run(kNetwork, "flow-matching", Device::cpu, Precision::float32, 5, 6);
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    const Generator generator(model_of(*run.flow, run.source, nlohmann::json::object(), run.trainer->stream()),
                              Device::cpu, {.precision = precision});
    EXPECT_EQ(generator.sample_shape(), (Shape{8, 8, 1}));
    const std::int64_t n = 37, d = run.flow->dimension();
    GeneratorContext all = generator.prepare(n), some = generator.prepare(5, {.threads = 2});
    std::vector<float> together(static_cast<std::size_t>(n * d)), apart(together.size());
    all.sample(nullptr, 9, 0, View<float>(together.data(), {n, d}));
    for (std::int64_t begin = 0; begin < n; begin += 5) {
      const std::int64_t count = std::min<std::int64_t>(5, n - begin);
      some.sample(nullptr, 9, begin, View<float>(apart.data() + begin * d, {count, d}));
    }
    EXPECT_EQ(together, apart) << name_of(precision);
  }
}

// dx/dt = g: Euler's error falls with the step, the midpoint's with its square, on a velocity that is known: that of a
// trained network is as good as any, its own solution by many steps being the truth.
TEST(Integration, ConvergesAtItsOrder) {
  const nlohmann::json network = {{"family", "resnet"}, {"dimension", 2}, {"blocks", 2}, {"width", 16}, {"depth", 1}};
  const std::unique_ptr<Flow> flow = make_flow(network);
  flow->parameters().allocate(Device::cpu, 8);
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  for (float& w : std::span(flow->parameters().values().data, flow->parameters().values().size()))
    w += 0.4f * normal(random);
  std::vector<float> x0(64);
  for (float& x : x0) x = normal(random);
  const auto solve = [&](Integration::Method method, std::int64_t steps) {
    Tape tape(Device::cpu, {.training = false});
    TimeColumns columns(Device::cpu, 32);
    FlowOnTape on_tape(tape, *flow, columns);
    const Tensor end =
        Integration(method, steps).record(tape, on_tape, tape.external(View<float>(x0.data(), {32, 2}))).back();
    tape.keep(end);
    tape.plan();
    Stream stream(Device::cpu);
    tape.run(stream);
    const View<float> result = tape.view(end);
    return std::vector<float>(result.data, result.data + result.size());
  };
  using enum Integration::Method;
  const std::vector<float> truth = solve(midpoint, 512);
  const auto error = [&](Integration::Method method, std::int64_t steps) {
    return difference(solve(method, steps), truth);
  };
  EXPECT_GT(error(euler, 4), 1e-3);
  EXPECT_NEAR(error(euler, 8) / error(euler, 16), 2, 0.4);
  EXPECT_NEAR(error(midpoint, 4) / error(midpoint, 8), 4, 1.5);
  EXPECT_LT(error(midpoint, 8), 0.2 * error(euler, 16));
}

TEST(Integration, ShowsItsWayAndRefusesWhatDoesNotDivide) {
  EXPECT_EQ(Integration(Integration::Method::euler, 6, 4).times().size(), 3U);
  EXPECT_EQ(Integration(Integration::Method::euler, 6).times(), std::vector<float>{1});
  EXPECT_THROW(Integration(Integration::Method::euler, 0), InputError);
  EXPECT_THROW(Integration(Integration::Method::euler, 7, 4), InputError);
}

}  // namespace
}  // namespace otnfm
