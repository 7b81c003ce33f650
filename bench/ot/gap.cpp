// Time to gap: seconds from points to a pairing, by solver, to the gap in the benchmark's name ("end": the solver's
// own). Counters: gap and mean_cost by the certificate, which is not timed. bench/peers/ot_gap.py runs these beside the
// peers.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>

#include "bench/ot/problems.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/exact.h"
#include "ot/sinkhorn.h"

namespace otnfm::bench {
namespace {

using Solve = std::function<Assignment(const Problem&, double gap)>;

Assignment exact(const Problem& problem, double) {
  return solve_exact(problem, {.certify = false});
}

Assignment auction(const Problem& problem, double gap) {
  return solve_auction(problem, {.max_gap = gap, .certify = false});
}

// The plan at an epsilon small enough for the gap, made a permutation.
Assignment sinkhorn(const Problem& problem, double gap) {
  SinkhornSolver solver;
  SinkhornResult result;
  solver.solve(problem, {.epsilon = std::clamp(2 * gap, 0.005, 0.1)}, result);
  Assignment assignment = solver.round_to_permutation(gap, std::numeric_limits<double>::infinity(), false);
  return assignment;
}

void to_gap(benchmark::State& state, const Solve& solve, const std::string& pair, std::int64_t n, std::int64_t d,
            double gap) {
  const PointClouds& clouds = clouds_of(pair, 1, n, d);
  const Problem problem = Problem::from_points(View<const float>(clouds.source.data(), {n, d}),
                                               View<const float>(clouds.target.data(), {n, d}));
  Assignment result;
  for (auto _ : state) result = solve(problem, gap);
  const Certificate certificate = certify(problem, result.sigma, result.g);
  state.counters["gap"] = certificate.gap;
  state.counters["mean_cost"] = certificate.primal_cost;
  state.SetLabel(result.algorithm);
  if (!certificate.is_permutation) state.SkipWithError("not a permutation");
}

void register_all() {
  const auto add = [](const std::string& solver, const Solve& solve, const std::string& pair, std::int64_t n,
                      std::int64_t d, double gap) {
    const std::string goal = gap > 0 ? fmt::format("{:.0e}", gap) : "end";
    benchmark::RegisterBenchmark(fmt::format("gap/{}_d{}_n{}/{}/{}", pair, d, n, solver, goal).c_str(), to_gap, solve,
                                 pair, n, d, gap)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  const auto problem = [&](const std::string& pair, std::int64_t n, std::int64_t d) {
    add("exact", exact, pair, n, d, 0);
    for (const double gap : {1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6}) {
      add("auction", auction, pair, n, d, gap);
      add("sinkhorn, rounded", sinkhorn, pair, n, d, gap);
    }
  };
  for (const std::int64_t d : {2, 64, 784})
    for (const std::int64_t n : {256, 1024, 4096})
      for (const char* pair : {"gaussian_mixture", "uniform_uniform", "clustered_clustered"}) problem(pair, n, d);
  if (cifar_folder() != nullptr)
    for (const std::int64_t n : {256, 1024, 4096}) problem("gaussian_cifar", n, 3072);
}

const bool registered = (register_all(), true);

}  // namespace
}  // namespace otnfm::bench
