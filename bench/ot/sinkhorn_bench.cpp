// Seconds for a Sinkhorn solve from points to 1e-3 L1 marginal error, cost evaluation included. Counters: iterations,
// the marginal error reached, the transport cost, and milliseconds an iteration.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "bench/ot/problems.h"
#include "ot/sinkhorn.h"

namespace otnfm::bench {
namespace {

void sinkhorn(benchmark::State& state, std::int64_t n, std::int64_t d, double epsilon, Acceleration acceleration) {
  const PointClouds clouds = make_clouds("gaussian_gaussian", 1, n, d);
  const Problem problem = Problem::from_points(View<const float>(clouds.source.data(), {n, d}),
                                               View<const float>(clouds.target.data(), {n, d}));
  SinkhornSolver solver;
  SinkhornResult result;
  const SinkhornOptions options{.epsilon = epsilon, .acceleration = acceleration};
  double seconds = 0;
  for (auto _ : state) {
    solver.solve(problem, options, result);
    seconds += result.seconds;
  }
  state.counters["iterations"] = static_cast<double>(result.iterations);
  state.counters["stages"] = static_cast<double>(result.stages);
  state.counters["marginal_error"] = result.row_error + result.column_error;
  state.counters["transport_cost"] = result.transport_cost;
  state.counters["ms_per_iteration"] =
      1e3 * seconds / static_cast<double>(state.iterations() * std::max<std::int64_t>(1, result.iterations));
  state.SetLabel(name_of(result.status));
}

void register_all() {
  const auto one = [](std::int64_t n, std::int64_t d, const char* epsilon, Acceleration acceleration) {
    benchmark::RegisterBenchmark(("sinkhorn/gaussian_gaussian_d" + std::to_string(d) + "_n" + std::to_string(n) +
                                  "_eps" + epsilon + "_" + name_of(acceleration))
                                     .c_str(),
                                 sinkhorn, n, d, std::stod(epsilon), acceleration)
        ->MeasureProcessCPUTime()
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (const Acceleration acceleration : {Acceleration::none, Acceleration::over_relaxation, Acceleration::anderson})
    one(4096, 64, "0.05", acceleration);
  for (const std::int64_t n : {256, 1000, 4096}) one(n, 2, "0.05", Acceleration::anderson);
  one(1000, 784, "0.05", Acceleration::anderson);
  one(4096, 64, "0.01", Acceleration::anderson);
}

const bool registered = (register_all(), true);

}  // namespace
}  // namespace otnfm::bench
