// How long a program waits for samples of the toy flow (4 blocks of 3 x 64, SiLU) on one thread: every call of
// GeneratorContext::sample() by itself, the noise drawn in it, at batches of 1, 64 and 4096. Counters: the median, the
// 99th percentile and the longest of the calls in microseconds; of each, the clock's own 20 ns or so are part.
// bench/peers/latency.py times the same map in ONNX Runtime and PyTorch.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "engine/generate/generator.h"
#include "engine/generate/model.h"

namespace otnfm {
namespace {

void latency(benchmark::State& state, Precision precision) {
  const nlohmann::json toy = {{"family", "resnet"}, {"dimension", 2}, {"blocks", 4}, {"width", 64}, {"depth", 3}};
  Model model{.flow = make_flow(toy), .source = Source::gaussian(2), .configuration = {}};
  model.flow->parameters().allocate(Device::cpu, 1, false);
  const Generator generator(std::move(model), Device::cpu, {.precision = precision});
  const std::int64_t batch = state.range(0);
  GeneratorContext context = generator.prepare(batch);
  std::vector<float> samples(static_cast<std::size_t>(2 * batch));
  std::vector<double> microseconds;
  microseconds.reserve(static_cast<std::size_t>(state.max_iterations));
  std::int64_t row = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    context.sample(nullptr, 1, row, View<float>(samples.data(), {batch, 2}));
    microseconds.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    row += batch;
  }
  std::sort(microseconds.begin(), microseconds.end());
  const auto quantile = [&](double part) {
    return microseconds[static_cast<std::size_t>(part * static_cast<double>(microseconds.size() - 1))];
  };
  state.counters["p50_us"] = quantile(0.5);
  state.counters["p99_us"] = quantile(0.99);
  state.counters["longest_us"] = quantile(1);
}

void batches(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(1)->Arg(2)->Arg(3)->Arg(4)->Arg(8)->Arg(16)->Arg(64)->Arg(4096)->UseRealTime()->Unit(
      benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(latency, toy, Precision::float32)->Apply(batches);
BENCHMARK_CAPTURE(latency, toy_bf16, Precision::bfloat16)->Apply(batches);

}  // namespace
}  // namespace otnfm
