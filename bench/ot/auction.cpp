// Seconds to an assignment within a gap, cost evaluation included, certificate not. Counters: the certificate's gap,
// bids (and paths) a row; and the exact solver on the same problem, to read them against.
#include <benchmark/benchmark.h>

#include <cmath>
#include <map>
#include <string>

#include "bench/ot/problems.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/exact.h"

namespace otnfm::bench {
namespace {

const PointClouds& clouds_of(const std::string& pair, std::int64_t n, std::int64_t d) {
  static std::map<std::string, PointClouds> made;
  const std::string key = pair + std::to_string(n) + "," + std::to_string(d);
  const auto found = made.find(key);
  return found != made.end() ? found->second : made.emplace(key, make_clouds(pair, 1, n, d)).first->second;
}

// gap = 10^-digits; digits = 0 is the exact solver.
void auction(benchmark::State& state, const std::string& pair, std::int64_t n, std::int64_t d, int digits) {
  const PointClouds& clouds = clouds_of(pair, n, d);
  const Problem problem = Problem::from_points(View<const float>(clouds.source.data(), {n, d}),
                                               View<const float>(clouds.target.data(), {n, d}));
  AuctionWorkspace workspace;
  ExactWorkspace exact_workspace;
  Assignment result;
  AuctionOptions options;
  options.certify = false;
  options.max_gap = std::pow(10.0, -digits);
  ExactOptions exact;
  exact.certify = false;
  for (auto _ : state) {
    if (digits > 0)
      solve_auction(problem, options, workspace, result);
    else
      solve_exact(problem, exact, exact_workspace, result);
  }
  const Certificate certificate = certify(problem, result.sigma, result.g);
  state.counters["mean_cost"] = certificate.primal_cost;
  state.counters["gap"] = certificate.gap;
  state.counters["steps_a_row"] = static_cast<double>(result.iterations) / static_cast<double>(n);
  state.SetLabel(result.algorithm);
  if (!certificate.is_permutation) state.SkipWithError("not a permutation");
}

void register_all() {
  const auto one = [](const std::string& pair, std::int64_t d, std::int64_t n) {
    for (int digits = 0; digits <= 6; ++digits)
      benchmark::RegisterBenchmark(("auction/" + pair + "_d" + std::to_string(d) + "_n" + std::to_string(n) +
                                    (digits > 0 ? "_gap1e-" + std::to_string(digits) : "_exact"))
                                       .c_str(),
                                   auction, pair, n, d, digits)
          ->MeasureProcessCPUTime()
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
  };
  for (const std::int64_t n : {256, 1000, 4096, 16384}) one("gaussian_8gaussians", 2, n);
  for (const std::int64_t n : {4096, 16384}) one("8gaussians_8gaussians", 2, n);
  for (const std::int64_t n : {1000, 4096}) one("gaussian_gaussian", 64, n);
  for (const std::int64_t n : {256, 1000, 2048}) one("gaussian_gaussian", 784, n);
}

const bool registered = (register_all(), true);

}  // namespace
}  // namespace otnfm::bench
