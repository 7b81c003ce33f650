// Seconds for a Sinkhorn solve from points to 1e-3 L1 marginal error, cost evaluation included. Counters: iterations,
// the marginal error reached, the transport cost, epsilon, and milliseconds an iteration (all of the solve counted).
// `rounded`: also a permutation with a gap of 1e-3 from its potentials, with its certificate's gap.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "bench/ot/problems.h"
#include "ot/sinkhorn.h"

namespace otnfm::bench {
namespace {

struct Settings {
  std::int64_t n, d;
  double epsilon = 0;
  bool mixing = true, round = false;
  double relaxation = 1;
};

void sinkhorn(benchmark::State& state, const Settings& settings) {
  const auto [n, d, epsilon, mixing, round, relaxation] = settings;
  const PointClouds clouds = make_clouds("gaussian_gaussian", 1, n, d);
  const Problem problem = Problem::from_points(View<const float>(clouds.source.data(), {n, d}),
                                               View<const float>(clouds.target.data(), {n, d}));
  SinkhornSolver solver;
  SinkhornResult result;
  double seconds = 0;
  for (auto _ : state) {
    solver.solve(problem, {.epsilon = epsilon, .mixing = mixing, .relaxation = relaxation}, result);
    seconds += result.seconds;
    if (round) solver.round_to_permutation(1e-3, std::numeric_limits<double>::infinity(), false);
  }
  state.counters["iterations"] = static_cast<double>(result.iterations);
  state.counters["marginal_error"] = result.row_error + result.column_error;
  state.counters["transport_cost"] = result.transport_cost;
  state.counters["epsilon"] = result.epsilon;
  state.counters["ms_per_iteration"] =
      1e3 * seconds / static_cast<double>(state.iterations() * std::max<std::int64_t>(1, result.iterations));
  if (round) state.counters["gap"] = solver.round_to_permutation(1e-3).certificate.gap;
  state.SetLabel(name_of(result.status));
}

void register_all() {
  const auto one = [](const char* epsilon, Settings settings) {
    settings.epsilon = std::stod(epsilon);
    benchmark::RegisterBenchmark(("sinkhorn/gaussian_gaussian_d" + std::to_string(settings.d) + "_n" +
                                  std::to_string(settings.n) + "/eps" + epsilon +
                                  (settings.mixing           ? "/mixing"
                                   : settings.relaxation > 1 ? "/relaxed"
                                                             : "/plain") +
                                  (settings.round ? "_rounded" : ""))
                                     .c_str(),
                                 sinkhorn, settings)
        ->MeasureProcessCPUTime()
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (const bool mixing : {false, true}) one("0.05", {.n = 4096, .d = 64, .mixing = mixing});
  one("0.05", {.n = 4096, .d = 64, .mixing = false, .relaxation = 1.7});
  one("0.01", {.n = 4096, .d = 64});
  for (const std::int64_t n : {256, 1000, 4096}) one("0.05", {.n = n, .d = 2});
  one("0.05", {.n = 1000, .d = 784});
  for (const std::int64_t d : {2, 64}) one("0.01", {.n = 4096, .d = d, .round = true});
}

const bool registered = (register_all(), true);

}  // namespace
}  // namespace otnfm::bench
