// x0 and x1 drawn without regard to each other. Var[x1 | x0] is then the data's whole variance: the map learns the
// mean.
#include "engine/couplings/couplings.h"
#include "engine/data/random_streams.h"
#include "engine/data/record_draw.h"
#include "engine/metrics/collapse.h"

namespace otnfm {
namespace {

class IndependentCoupling : public Coupling {
 public:
  IndependentCoupling(const Source& source, const Dataset& target, const CouplingOptions& options)
      : source_(source), target_(target), options_(options), variance_(total_variance(target, options.seed)) {}

  Pairs record(Tape& tape, View<const std::uint64_t> step) override {
    RandomKey key{.seed = options_.seed, .stream = kSourceStream, .step = step};
    const Tensor x0 = record_draw(tape, source_, options_.batch, key, kSourceDiagonalStream, held_);
    key.stream = kTargetStream;
    return {x0, record_draw(tape, target_, options_.batch, key, held_)};
  }

  CouplingStatistics statistics() const override { return {.conditional_variance = variance_}; }

 private:
  Source source_;
  Dataset target_;
  CouplingOptions options_;
  double variance_;
  HeldMemory held_;
};

}  // namespace

CouplingEntry independent_coupling() {
  return {.name = "independent",
          .about = "no pairing at all: the map collapses to the data's mean (the baseline that shows it)",
          .consistent = false,
          .make = make_coupling<IndependentCoupling>};
}

}  // namespace otnfm
