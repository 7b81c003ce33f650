// One training step of the toy model: 4 blocks of 3 x 64 SiLU, B = 256, AdamW; 52 MFLOP of matrix products. The pairs
// come from a small bank, so no assignment is solved in the timed part. Counters: the split of the step, its rate of
// matrix FLOPs, and that rate as a fraction of what this machine's GEMM reaches on 2048^3 in the same run.
// bench/peers/toy_step.py times the same step in PyTorch. And samples of that model: its map of 2^20 points, host
// memory to host memory, as Generator runs it; bench/peers/sampling.py times the same map in PyTorch.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "bench/engine/train/gemm_rate.h"
#include "bench/engine/train/unet_step.h"
#include "engine/core/table.h"
#include "engine/generate/generator.h"
#include "engine/generate/model.h"
#include "engine/objectives/objective.h"
#include "engine/train/optimizer.h"
#include "engine/train/options.h"
#include "engine/train/trainer.h"

namespace otnfm {
namespace {

constexpr double kStepFlops = 3 * 2.0 * 256 * 4 * (3 * 64 + 2 * 64 * 64 + 64 * 2);  // forward, and twice that backward

void training_step(benchmark::State& state, Device device, Precision precision) {
  const Dataset data = open_dataset("8gaussians");
  const Source source = open_source(NamedSource("gaussian"), data);
  TrainingOptions options = default_options(data);
  options.flow.update({{"blocks", 4}, {"width", 64}, {"depth", 3}});
  options.batch = 256;
  options.of_couplings["bank"] = std::int64_t{1024};
  options.precision = precision;
  nlohmann::json configuration = options.flow;
  configuration["dimension"] = 2;
  const std::unique_ptr<Flow> flow = make_flow(configuration);
  const auto coupling = find_by_name(couplings(), "global", "coupling").make(source, data, options.coupling_options());
  coupling->prepare({});
  const auto objective = find_by_name(objectives(), options.objective, "objective")
                             .make({.time_weighting = time_weighting_by_name(options.time_weighting),
                                    .source = source,
                                    .target = data,
                                    .device = device});
  Optimizer optimizer(options, device);
  Trainer trainer({.flow = *flow,
                   .objective = *objective,
                   .optimizer = optimizer,
                   .source = source,
                   .target = data,
                   .coupling = coupling.get()},
                  options, device);
  for (int k = 0; k < 50; ++k) trainer.run_step();
  trainer.stream().synchronize();

  const double start = seconds_now();
  for (auto _ : state) trainer.run_step();
  trainer.stream().synchronize();
  const double step_seconds = (seconds_now() - start) / static_cast<double>(state.iterations());

  constexpr int kTimed = 200;
  std::vector<double> split;
  for (int k = 0; k < kTimed; ++k) {
    const auto phases = trainer.time_phases();
    split.resize(phases.size());
    for (std::size_t p = 0; p < phases.size(); ++p) split[p] += phases[p].second * 1e6 / kTimed;
    if (k + 1 == kTimed)
      for (std::size_t p = 0; p < phases.size(); ++p) state.counters[phases[p].first + "_us"] = split[p];
  }
  state.counters["kernel_calls"] = static_cast<double>(trainer.tape().node_count());
  state.counters["FLOP/s"] = kStepFlops / step_seconds;
  state.counters["of_gemm_rate"] = kStepFlops / step_seconds / gemm_rate(device);
}

void sampling(benchmark::State& state, Device device, Precision precision) {
  constexpr std::int64_t kSamples = std::int64_t{1} << 20;
  const nlohmann::json toy = {{"family", "resnet"}, {"dimension", 2}, {"blocks", 4}, {"width", 64}, {"depth", 3}};
  Model model{.flow = make_flow(toy), .source = Source::gaussian(2), .configuration = {}};
  model.flow->parameters().allocate(device, 1, false);
  const Generator generator(std::move(model), device, {.precision = precision});
  GeneratorContext context = generator.prepare(std::int64_t{1} << 16, {.threads = 0});
  std::vector<float> noise(2 * kSamples), samples(2 * kSamples);
  generator.noise(1, 0, View<float>(noise.data(), {kSamples, 2}));
  const double start = seconds_now();
  for (auto _ : state)
    context.sample(nullptr, View<const float>(noise.data(), {kSamples, 2}), View<float>(samples.data(), {kSamples, 2}));
  const double seconds = (seconds_now() - start) / static_cast<double>(state.iterations());
  const double flops = kStepFlops / 3 / 256 * static_cast<double>(kSamples);
  state.counters["samples/s"] = static_cast<double>(kSamples) / seconds;
  state.counters["FLOP/s"] = flops / seconds;
  state.counters["of_gemm_rate"] = flops / seconds / gemm_rate(device);
}

/// The coupling of one batch: what the minibatch coupling adds to a step.
void minibatch_coupling(benchmark::State& state) {
  const Dataset data = open_dataset("8gaussians");
  const auto coupling = find_by_name(couplings(), "minibatch", "coupling")
                            .make(Source::gaussian(2), data, {.batch = state.range(0), .seed = 1});
  Stream stream(Device::cpu);
  Tape tape(Device::cpu);
  coupling->record(tape, {});
  std::uint64_t step = 0;
  for (auto _ : state) coupling->feed(stream, step++);
}

}  // namespace
}  // namespace otnfm

int main(int argc, char** argv) {
  using namespace otnfm;
  for (Device device : {Device::cpu, Device::cuda}) {
    if (device == Device::cuda && !cuda_available()) continue;
    const std::string suffix = device == Device::cpu ? "" : "_cuda";
    for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
      const std::string name = "training_step/toy" + std::string(rounds(precision) ? "_bf16" : "") + suffix;
      benchmark::RegisterBenchmark(
          name.c_str(), [device, precision](benchmark::State& state) { training_step(state, device, precision); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    }
    for (const bool rounded : {false, true})
      benchmark::RegisterBenchmark(("sampling/toy" + std::string(rounded ? "_bf16" : "") + suffix).c_str(),
                                   [device, rounded](benchmark::State& state) {
                                     sampling(state, device, rounded ? Precision::bfloat16 : Precision::float32);
                                   })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
  }
  benchmark::RegisterBenchmark("minibatch_coupling/8gaussians", minibatch_coupling)
      ->Arg(64)
      ->Arg(256)
      ->Arg(1024)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  if (argc == 4 && std::string_view(argv[1]) == "--write-unet-step") return write_unet_step(argv[2], argv[3]);
  register_unet_benchmarks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
