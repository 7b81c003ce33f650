// The objective's side of a training step: what it may ask for, what it keeps, and a run that has no pairs.
#include "engine/objectives/objective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/core/table.h"
#include "engine/io/safetensors.h"
#include "engine/objectives/step_inputs.h"
#include "engine/train/optimizer.h"
#include "engine/train/run_state.h"
#include "engine/train/trainer.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

std::vector<float> read(Stream& stream, const View<float>& view) {
  std::vector<float> values(view.size());
  copy_bytes(stream, values.data(), view.data, values.size() * sizeof(float));
  stream.synchronize();
  return values;
}

double correlation(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

void check_inputs(Device device) {
  const std::int64_t B = 4096, d = 3;
  std::random_device fresh;
  const std::uint64_t seed = fresh();
  const Source source = Source::gaussian(d);
  const Dataset target = Dataset::gaussian(d);
  Stream stream(device);
  Memory counter(device, sizeof(std::uint64_t), "a step counter");
  zero_bytes(stream, counter.data(), counter.bytes());
  const View<std::uint64_t> step(reinterpret_cast<std::uint64_t*>(counter.data()), {1});
  const CouplingOptions coupling_options{.batch = B, .seed = seed, .device = device};
  const auto coupling = find_by_name(couplings(), "independent", "coupling").make(source, target, coupling_options);
  Tape tape(device);
  HeldMemory held;
  StepInputs inputs(tape, source, target, coupling->record(tape, step),
                    {.batch = B, .seed = seed, .step = step, .time_weighting = &time_weightings()[0]}, held);
  const std::vector<Tensor> drawn = {inputs.pairs().x0, inputs.pairs().x1, inputs.noise(), inputs.noise(),
                                     inputs.data(),     inputs.data(),     inputs.noise()};
  EXPECT_EQ(inputs.times().t.view().data, inputs.times().t.view().data);
  for (const Tensor& tensor : drawn) tape.keep(tensor);
  tape.plan();
  std::vector<std::vector<float>> batches;
  for (const std::uint64_t at : {0, 1}) {
    copy_bytes(stream, step.data, &at, sizeof(at));
    tape.run(stream);
    for (const Tensor& tensor : drawn) batches.push_back(read(stream, tape.view(tensor)));
  }
  const double five_errors = 5 / std::sqrt(static_cast<double>(B * d));
  for (std::size_t i = 0; i < batches.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_TRUE(std::abs(correlation(batches[i], batches[j])) <= five_errors) << i << " " << j << ", seed " << seed;
}

TEST(StepInputs, AreBatchesThatHaveNothingInCommon) {
  check_inputs(Device::cpu);
}

TEST(StepInputs, AreBatchesThatHaveNothingInCommonOnCuda) {
  OTNFM_NEEDS_CUDA();
  check_inputs(Device::cuda);
}

TEST(StepInputs, HaveNoPairsThatNobodyAskedFor) {
  const Source source = Source::gaussian(2);
  const Dataset target = Dataset::gaussian(2);
  Tape tape(Device::cpu);
  HeldMemory held;
  const StepInputs inputs(tape, source, target, {}, {.batch = 4}, held);
  EXPECT_THROW(inputs.pairs(), RunError);
}

/// Moves F(1, x0) to where the data's first numbers lie on average: no pairs, but two batches of noise and one of data.
/// It counts the steps that it was fed and keeps the count.
class Towards : public Objective {
 public:
  bool needs_pairs() const override { return false; }
  void prepare(const SavedLists& state) override {
    if (!state.empty()) fed_ = state.integers_of("fed").at(0);
  }
  Tensor record(Tape& tape, Flow& flow, StepInputs& inputs) override {
    const Tensor end = uniform(tape, {inputs.batch(), 1}, inputs.key(0x300), 1.0f, 1.0f);
    const Tensor x = flow.forward(tape, end, inputs.noise()), other = flow.forward(tape, end, inputs.noise());
    return squared_error(tape, x, add(tape, inputs.data(), scale(tape, other, 0.0f)));
  }
  void feed(Stream&, std::uint64_t) override { ++fed_; }
  SavedLists state() const override { return {.integers = {{"fed", {fed_}}}}; }
  nlohmann::json statistics(const CouplingStatistics&) const override { return {{"fed", fed_}}; }

 private:
  std::int64_t fed_ = 0;
};

TEST(Objective, TrainsWithoutPairs) {
  TrainingOptions options;
  options.steps = 400;
  options.batch = 64;
  options.lr = 1e-2;
  options.ema_decay = 0.9;
  const Source source = Source::gaussian(2);
  const Dataset target = Dataset::points("a point", std::vector<float>(20, 3.0f), 2);
  const std::unique_ptr<Flow> flow =
      make_flow({{"family", "resnet"}, {"dimension", 2}, {"blocks", 1}, {"width", 16}, {"depth", 1}});
  Towards objective;
  objective.prepare({});
  Optimizer optimizer(options, Device::cpu);
  Trainer trainer({.flow = *flow,
                   .objective = objective,
                   .optimizer = optimizer,
                   .source = source,
                   .target = target,
                   .coupling = nullptr},
                  options, Device::cpu);
  trainer.run_step();
  const double first = trainer.report().loss;
  while (trainer.step() < static_cast<std::uint64_t>(options.steps)) trainer.run_step();
  const StepReport report = trainer.report();
  EXPECT_GT(first, 10);
  EXPECT_LT(report.loss, 0.1 * first);
  EXPECT_EQ(report.coupling_seconds, 0);
  EXPECT_EQ(report.wait_seconds, 0);
  EXPECT_EQ(trainer.time_phases().front().first, "forward");

  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("otnfm-state-" + std::to_string(std::random_device{}()));
  const SavedLists pairs{.integers = {{"sigma", {2, 0, 1}}}};
  save_state(
      path,
      {.flow = *flow, .coupling = pairs, .objective = objective.state(), .step = trainer.step(), .data_checksum = 7},
      trainer.stream(), options);
  const SafetensorsFile file = SafetensorsFile::load(path);
  std::filesystem::remove(path);
  EXPECT_EQ(coupling_state_of(file), pairs);
  EXPECT_EQ(objective_state_of(file), objective.state());
  EXPECT_EQ(step_of(file), trainer.step());
  EXPECT_EQ(data_checksum_of(file), 7u);
  Towards later;
  later.prepare(objective_state_of(file));
  EXPECT_EQ(later.statistics({}), nlohmann::json({{"fed", options.steps + 1}}));
}

TEST(Objective, SaysWhatAPerfectMapWouldLose) {
  TrainingOptions options;
  const Source source = Source::gaussian(2);
  const Dataset target = Dataset::gaussian(2);
  for (const TimeWeighting& weighting : time_weightings()) {
    options.time_weighting = weighting.name;
    const auto objective = make_flow_matching(
        {.time_weighting = time_weighting_by_name(options.time_weighting), .source = source, .target = target});
    EXPECT_TRUE(objective->needs_pairs());
    EXPECT_DOUBLE_EQ(objective->statistics({.conditional_variance = 3})["irreducible_loss"].get<double>(),
                     3 * weighting.mean_weighted_square);
    EXPECT_TRUE(objective->statistics({})["irreducible_loss"].is_null());
  }
}

}  // namespace
}  // namespace otnfm
