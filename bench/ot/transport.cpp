// Seconds for exact transport between weighted points, cost evaluation included, certificate not. The weights are those
// of bench/peers/ot_transport.py.
#include <benchmark/benchmark.h>

#include <string>
#include <tuple>
#include <vector>

#include "bench/ot/problems.h"
#include "ot/transport.h"

namespace otnfm::bench {
namespace {

std::vector<double> weights_of(std::int64_t count, std::int64_t factor) {
  std::vector<double> weights(static_cast<std::size_t>(count));
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i)
    sum += weights[static_cast<std::size_t>(i)] = 1 + static_cast<double>(i * factor % 101);
  for (double& value : weights) value /= sum;
  return weights;
}

void transport(benchmark::State& state, const std::string& pair, std::int64_t n, std::int64_t d) {
  const PointClouds& clouds = clouds_of(pair, 1, n, d);
  const Problem problem = Problem::from_points(View<const float>(clouds.source.data(), {n, d}),
                                               View<const float>(clouds.target.data(), {n, d}));
  const std::vector<double> a = weights_of(n, 37), b = weights_of(n, 59);
  for (auto _ : state) solve_transport(problem, a, b, {.certify = false});
  const Transport result = solve_transport(problem, a, b);
  state.counters["mean_cost"] = result.primal_cost;
  state.counters["gap"] = result.gap;
  state.counters["pivots"] = static_cast<double>(result.iterations);
  if (result.status != SolveStatus::converged) state.SkipWithError("not converged");
}

void register_all() {
  for (const auto& [pair, d, n] : {std::tuple{"gaussian_8gaussians", 2, 256},
                                   {"gaussian_8gaussians", 2, 1000},
                                   {"gaussian_8gaussians", 2, 4096},
                                   {"8gaussians_moons", 2, 1000},
                                   {"gaussian_gaussian", 64, 1000},
                                   {"gaussian_gaussian", 784, 1000}})
    benchmark::RegisterBenchmark(
        ("transport/" + std::string(pair) + "_d" + std::to_string(d) + "_n" + std::to_string(n)).c_str(), transport,
        pair, n, d)
        ->MeasureProcessCPUTime()
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
}

const bool registered = (register_all(), true);

}  // namespace
}  // namespace otnfm::bench
