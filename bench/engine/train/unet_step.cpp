// A training step of the U-Net flow (pairs from memory, loss, backward, clipping, AdamW with its moving average) at the
// presets of 28x28x1 (B = 128) and at width 64 on 32x32x3 (B = 64), and samples of both. Counters: images a second, the
// rate of FLOPs, three times those of a forward pass, and that rate as a fraction of what the machine's GEMM reaches.
// bench/peers/unet.py times the same in PyTorch and compares outputs and gradients.
#include "bench/engine/train/unet_step.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <random>

#include "bench/engine/train/gemm_rate.h"
#include "engine/core/table.h"
#include "engine/generate/flops.h"
#include "engine/generate/generator.h"
#include "engine/generate/model.h"
#include "engine/io/safetensors.h"
#include "engine/objectives/objective.h"
#include "engine/train/optimizer.h"
#include "engine/train/options.h"
#include "engine/train/trainer.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

struct NamedUNet {
  const char* name;
  std::int64_t B;
  nlohmann::json (*configuration)();
};

const NamedUNet kUNets[] = {
    {"28x28x1", 128,
     [] {
       return nlohmann::json{
           {"family", "unet"}, {"image", "28x28x1"}, {"patch", 2}, {"width", 32}, {"multipliers", "1:2"}};
     }},
    {"32x32x3", 64,
     [] {
       return nlohmann::json{{"family", "unet"}, {"image", "32x32x3"},       {"patch", 1},       {"width", 64},
                             {"blocks", 2},      {"multipliers", "1:2:2:2"}, {"attention", "16"}};
     }},
};

/// Images of noise, which take as long as any.
Dataset random_images(const Flow& flow, std::int64_t count) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<std::size_t>(count * flow.dimension()));
  for (float& value : values) value = uniform(random);
  return Dataset::points("images", std::move(values), flow.dimension());
}

void unet_step(benchmark::State& state, const NamedUNet& named, Device device, Precision precision) {
  const std::unique_ptr<Flow> flow = make_flow(named.configuration());
  const Dataset data = random_images(*flow, 4 * named.B);
  const Source source = Source::gaussian(flow->dimension());
  TrainingOptions options = default_options(data);
  options.batch = named.B;
  options.precision = precision;
  const auto coupling =
      find_by_name(couplings(), "independent", "coupling").make(source, data, options.coupling_options());
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
  for (int k = 0; k < 3; ++k) trainer.run_step();
  trainer.stream().synchronize();
  const double start = seconds_now();
  for (auto _ : state) trainer.run_step();
  trainer.stream().synchronize();
  const double seconds = (seconds_now() - start) / static_cast<double>(state.iterations());
  constexpr int kTimed = 3;
  std::map<std::string, double> split;
  for (int k = 0; k < kTimed; ++k)
    for (const auto& [op, of_op] : trainer.time_ops()) split[op] += of_op * 1e3 / kTimed;
  for (const auto& [op, ms] : split) state.counters[op + "_ms"] = ms;
  const double flops = 3 * flops_per_evaluation(*flow, false) * static_cast<double>(named.B);
  state.counters["images/s"] = static_cast<double>(named.B) / seconds;
  state.counters["FLOP/s"] = flops / seconds;
  state.counters["of_gemm_rate"] = flops / seconds / gemm_rate(device);
}

void unet_sampling(benchmark::State& state, const NamedUNet& named, Device device, Precision precision) {
  Model model{.flow = make_flow(named.configuration()), .source = Source::gaussian(1), .configuration = {}};
  const std::int64_t d = model.flow->dimension();
  model.source = Source::gaussian(d);
  model.flow->parameters().allocate(device, 1, false);
  const double flops_of_one = flops_per_evaluation(*model.flow, false);
  const Generator generator(std::move(model), device, {.precision = precision});
  GeneratorContext context = generator.prepare(named.B, {.threads = 0});
  std::vector<float> noise(static_cast<std::size_t>(named.B * d)), samples(noise.size());
  generator.noise(1, 0, View<float>(noise.data(), {named.B, d}));
  const double start = seconds_now();
  for (auto _ : state)
    context.sample(nullptr, View<const float>(noise.data(), {named.B, d}), View<float>(samples.data(), {named.B, d}));
  const double seconds = (seconds_now() - start) / static_cast<double>(state.iterations());
  state.counters["images/s"] = static_cast<double>(named.B) / seconds;
  state.counters["of_gemm_rate"] = flops_of_one * static_cast<double>(named.B) / seconds / gemm_rate(device);
}

}  // namespace

void register_unet_benchmarks() {
  for (const Device device : {Device::cpu, Device::cuda}) {
    if (device == Device::cuda && !cuda_available()) continue;
    for (const NamedUNet& named : kUNets)
      for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
        const std::string suffix =
            std::string(named.name) + (rounds(precision) ? "_bf16" : "") + (device == Device::cpu ? "" : "_cuda");
        benchmark::RegisterBenchmark(
            ("unet_step/" + suffix).c_str(),
            [&named, device, precision](benchmark::State& state) { unet_step(state, named, device, precision); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
        benchmark::RegisterBenchmark(
            ("unet_sampling/" + suffix).c_str(),
            [&named, device, precision](benchmark::State& state) { unet_sampling(state, named, device, precision); })
            ->UseRealTime()
            ->Unit(benchmark::kMillisecond);
      }
  }
}

int write_unet_step(const std::string& configuration, const std::string& path) {
  try {
    const std::unique_ptr<Flow> flow = make_flow(nlohmann::json::parse(configuration));
    Parameters& parameters = flow->parameters();
    parameters.allocate(Device::cpu, 1);
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    // Those that start at zero are moved, so that a gradient reaches everything; all stay of the size that they have.
    for (float& weight : std::span(parameters.values().data, static_cast<std::size_t>(parameters.values().size())))
      weight += 0.02f * normal(random);
    const std::int64_t B = 3, d = flow->dimension();
    std::vector<float> x0(static_cast<std::size_t>(B * d)), target(x0.size()), t = {0.1f, 0.6f, 1.0f};
    for (float& x : x0) x = normal(random);
    for (float& x : target) x = normal(random);
    Tape tape(Device::cpu);
    const View<float> x0_view(x0.data(), {B, d}), target_view(target.data(), {B, d}), t_view(t.data(), {B, 1});
    const Tensor y = flow->forward(tape, tape.external(t_view), tape.external(x0_view));
    const Tensor loss = squared_error(tape, y, tape.external(target_view));
    tape.keep(y);
    tape.keep(loss);
    tape.backward(loss);
    tape.plan();
    Stream stream(Device::cpu);
    tape.run(stream);
    std::vector<NamedTensor> tensors = {
        named_tensor("x0", View<const float>(x0_view)), named_tensor("target", View<const float>(target_view)),
        named_tensor("t", View<const float>(t_view)), named_tensor("output", View<const float>(tape.view(y))),
        named_tensor("loss", View<const float>(tape.view(loss)))};
    for (int k = 0; k < parameters.count(); ++k) {
      tensors.push_back(named_tensor("weights/" + parameters.name(k), View<const float>(parameters.value({k}))));
      tensors.push_back(named_tensor("gradient/" + parameters.name(k), View<const float>(parameters.gradient({k}))));
    }
    write_safetensors(path, tensors, {{"configuration", flow->configuration().dump()}});
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_engine: error: {}\n", error.what());
    return 1;
  }
}

}  // namespace otnfm
