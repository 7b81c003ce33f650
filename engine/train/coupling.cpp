#include "engine/train/coupling.h"

#include "engine/metrics/collapse.h"
#include "engine/train/couplings.h"
#include "engine/train/random_streams.h"

namespace otnfm {
namespace {

constexpr CouplingEntry kCouplings[] = {
    {"independent", "no pairing at all: the map collapses to the data's mean (the baseline that shows it)",
     make_independent_coupling},
    {"minibatch", "optimal transport inside each batch", make_minibatch_coupling},
    {"global", "one optimal assignment between a fixed bank of noise and the data, solved once", make_global_coupling},
    {"online", "a bank's pairing, improved by each step's batch and kept (LOOM)", make_online_coupling},
};

}  // namespace

std::span<const CouplingEntry> couplings() {
  return kCouplings;
}

double total_variance(const Dataset& dataset, std::uint64_t seed) {
  constexpr std::int64_t kDraws = 16384;
  if (!dataset.endless()) return covariance_trace(dataset.rows());
  std::vector<float> drawn(kDraws * dataset.dimension());
  const View<float> rows(drawn.data(), {kDraws, dataset.dimension()});
  dataset.draw({.seed = seed, .stream = kTargetBankStream}, rows);
  return covariance_trace(rows);
}

}  // namespace otnfm
