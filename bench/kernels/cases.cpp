// Times the large cases of tests/cases on every device at hand: GB/s and GFLOP/s of the work that each case states.
#include <benchmark/benchmark.h>

#include "tests/cases/placement.h"

namespace otnfm::cases {
namespace {

void time_case(benchmark::State& state, const Case& c, Device device) {
  std::mt19937_64 random(1);
  Stream stream(device);
  const PlacedCase placed(stream, c, Placement::exact, random_values(c, random));
  c.run(stream, placed.buffers());
  stream.synchronize();
  for (auto _ : state) {
    c.run(stream, placed.buffers());
    stream.synchronize();
  }
  const double iterations = static_cast<double>(state.iterations());
  state.counters["bytes/s"] =
      benchmark::Counter(c.bytes * iterations, benchmark::Counter::kIsRate, benchmark::Counter::kIs1024);
  state.counters["FLOP/s"] = benchmark::Counter(c.flops * iterations, benchmark::Counter::kIsRate);
}

void register_all() {
  for (const Case& c : all()) {
    if (!c.bench) continue;
    for (Device device : {Device::cpu, Device::cuda}) {
      if (device == Device::cuda && !cuda_available()) continue;
      const std::string name = c.op + "/" + c.variant + "/" + name_of(device);
      benchmark::RegisterBenchmark(name.c_str(), [&c, device](benchmark::State& state) {
        time_case(state, c, device);
      })->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace otnfm::cases

int main(int argc, char** argv) {
  otnfm::cases::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
