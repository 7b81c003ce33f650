// Seconds for an exact assignment from points, cost evaluation included, certificate not (its own time is a counter).
// Counters: mean_cost and gap from the certificate, certificate_s its time, certificate_cpu_s that of all its threads.
#include <benchmark/benchmark.h>

#include <chrono>
#include <ctime>
#include <string>

#include "bench/ot/problems.h"
#include "ot/certificate.h"
#include "ot/exact.h"

namespace otnfm::bench {
namespace {

void exact(benchmark::State& state, const std::string& pair, std::int64_t n, std::int64_t d) {
  const PointClouds& clouds = clouds_of(pair, 1, n, d);
  const Problem problem = Problem::from_points(View<const float>(clouds.source.data(), {n, d}),
                                               View<const float>(clouds.target.data(), {n, d}));
  ExactWorkspace workspace;
  Assignment result;
  ExactOptions options;
  options.certify = false;
  for (auto _ : state) solve_exact(problem, options, workspace, result);
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  const Certificate certificate = certify(problem, result.sigma, result.g);
  state.counters["certificate_cpu_s"] = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  state.counters["certificate_s"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  state.counters["mean_cost"] = certificate.primal_cost;
  state.counters["gap"] = certificate.gap;
  state.SetLabel(result.algorithm);
  if (!certificate.is_permutation) state.SkipWithError("not a permutation");
}

// Every algorithm of the planner where each could be chosen: the crossover table of plan_exact().
void forced(benchmark::State& state, ExactAlgorithm algorithm, const std::string& pair, std::int64_t n,
            std::int64_t d) {
  const PointClouds& clouds = clouds_of(pair, 1, n, d);
  const Problem problem = Problem::from_points(View<const float>(clouds.source.data(), {n, d}),
                                               View<const float>(clouds.target.data(), {n, d}));
  ExactWorkspace workspace;
  Assignment result;
  const ExactOptions options{.algorithm = algorithm, .certify = false};
  solve_exact(problem, options, workspace, result);
  for (auto _ : state) solve_exact(problem, options, workspace, result);
  if (plan_exact(problem) == algorithm) state.SetLabel("planned");
}

void exact_batch(benchmark::State& state, const std::string& pair, std::int64_t batch, std::int64_t n, std::int64_t d) {
  const PointClouds& clouds = clouds_of(pair, batch, n, d);
  std::vector<std::int64_t> sigma(static_cast<std::size_t>(batch * n));
  ExactWorkspace workspace;
  for (auto _ : state)
    solve_exact_batch(View<const float>(clouds.source.data(), {batch, n, d}),
                      View<const float>(clouds.target.data(), {batch, n, d}),
                      View<std::int64_t>(sigma.data(), {batch, n}), workspace);
  double cost = 0, gap = 0, seconds = 0;
  const std::vector<double> zero(static_cast<std::size_t>(n), 0.0);
  for (std::int64_t b = 0; b < batch; ++b) {
    const Problem problem = Problem::from_points(View<const float>(clouds.source.data() + b * n * d, {n, d}),
                                                 View<const float>(clouds.target.data() + b * n * d, {n, d}));
    const Certificate optimal = solve_exact(problem).certificate;
    const auto start = std::chrono::steady_clock::now();
    const Certificate got = certify(problem, {sigma.data() + b * n, static_cast<std::size_t>(n)}, zero);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    cost += got.primal_cost / static_cast<double>(batch);
    gap = std::max(gap, (got.primal_cost - optimal.dual_bound) / got.primal_cost);
  }
  state.counters["certificate_s"] = seconds;
  state.counters["mean_cost"] = cost;
  state.counters["gap"] = gap;
}

// What a trainer asks of the solver in one step, and what an evaluation does.
void register_all() {
  const auto one = [](const std::string& pair, std::int64_t d, std::int64_t n) {
    benchmark::RegisterBenchmark(("exact/" + pair + "_d" + std::to_string(d) + "_n" + std::to_string(n)).c_str(), exact,
                                 pair, n, d)
        ->MeasureProcessCPUTime()
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (const std::int64_t n : {256, 1000, 4096, 16384}) one("gaussian_8gaussians", 2, n);
  for (const std::int64_t n : {256, 1000, 4096, 16384}) one("8gaussians_moons", 2, n);
  for (const std::int64_t n : {4096, 16384}) one("8gaussians_8gaussians", 2, n);
  for (const std::int64_t n : {1000, 4096}) one("gaussian_gaussian", 64, n);
  for (const std::int64_t n : {256, 1000, 2000}) one("gaussian_gaussian", 784, n);
  for (const std::int64_t n : {128, 256, 512, 1024, 4096})
    for (const std::int64_t d : {2, 3, 4, 6, 8, 16, 32, 64, 784})
      for (const char* pair : {"gaussian_gaussian", "gaussian_mixture"})
        for (const ExactAlgorithm algorithm :
             {ExactAlgorithm::dense, ExactAlgorithm::screened, ExactAlgorithm::multilevel}) {
          const std::string name = std::string("planner/") + pair + "_d" + std::to_string(d) + "_n" +
                                   std::to_string(n) + "/" + name_of(algorithm);
          benchmark::RegisterBenchmark(name.c_str(), forced, algorithm, pair, n, d)
              ->UseRealTime()
              ->Unit(benchmark::kMillisecond);
        }
  for (const auto& [pair, d] : {std::pair{"gaussian_8gaussians", 2}, {"gaussian_gaussian", 784}})
    benchmark::RegisterBenchmark(("exact/" + std::string(pair) + "_d" + std::to_string(d) + "_n256_batch16").c_str(),
                                 exact_batch, pair, 16, 256, d)
        ->MeasureProcessCPUTime()
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
}

const bool registered = (register_all(), true);

}  // namespace
}  // namespace otnfm::bench
