// Optimal transport inside each batch of fresh draws. Which data a noise goes with depends on the rest of the batch, so
// x1 is not a function of x0: what is left of Var[x1 | x0] falls like B^(-2/r), r the data's intrinsic dimension, and
// shows as blur.
//
// Each step's draws are a function of (seed, step) alone, so the pairs of a block of steps are made together, one
// assignment a thread, while earlier steps train (engine/couplings/pairs_ahead.h).
#include <algorithm>

#include "engine/couplings/batch_solver.h"
#include "engine/couplings/conditional_variance.h"
#include "engine/couplings/couplings.h"
#include "engine/couplings/pairs_ahead.h"
#include "engine/data/random_streams.h"

namespace otnfm {
namespace {

constexpr OptionField<PairingOptions> kMinibatchOptions[] = {solver_field<PairingOptions>(),
                                                             pairs_field<PairingOptions>(/*one_to_one=*/false)};

PairingOptions minibatch_options(const OptionValues& own) {
  return options_from(kMinibatchOptions, own, "the minibatch coupling");
}

class MinibatchCoupling : public Coupling {
 public:
  MinibatchCoupling(const Source& source, const Dataset& target, const CouplingOptions& options)
      : source_(source),
        target_(target),
        B_(options.batch),
        d_(target.dimension()),
        // Some 16 MB of points at a time.
        block_(std::clamp<std::int64_t>((4 << 20) / (2 * B_ * d_), 2, 32)),
        seed_(options.seed),
        solver_(minibatch_options(options.own), options.device),
        drawn_(block_ * B_ * d_),
        sigma_(block_ * B_),
        ahead_(
            options.device, B_, d_, block_, [this](PairBlock& block, bool) { make(block); }, options.wanted) {
    solver_.wanted = [this] { return ahead_.wanted(); };
  }

  void prepare(const CouplingState&) override {
    statistics_.conditional_variance = minibatch_conditional_variance(source_, target_, B_, seed_, solver_);
  }

  Pairs record(Tape& tape, View<const std::uint64_t>) override { return ahead_.record(tape); }

  void feed(Stream& stream, std::uint64_t step) override {
    const PairBlock& block = ahead_.feed(stream, step);
    statistics_.mean_cost = block.mean_cost;
    statistics_.device = block.device;
    statistics_.seconds = ahead_.seconds();
    statistics_.wait_seconds = ahead_.wait_seconds();
  }

  CouplingStatistics statistics() const override { return statistics_; }

 private:
  void make(PairBlock& block) {
    block.steps = static_cast<std::uint64_t>(block_);
    for (std::int64_t k = 0; k < block_; ++k) {
      const std::uint64_t step = block.first + static_cast<std::uint64_t>(k);
      source_.draw({.seed = seed_, .stream = kSourceStream, .step = step}, block.x0.row_slice(k * B_, B_));
      target_.draw({.seed = seed_, .stream = kTargetStream, .step = step}, {&drawn_[k * B_ * d_], {B_, d_}});
    }
    solver_.solve({block.x0.data, {block_, B_, d_}}, {drawn_.data(), {block_, B_, d_}}, seed_, block.first,
                  {sigma_.data(), {block_, B_}});
    block.device = solver_.device();
    double cost = 0;
    for (std::int64_t row = 0; row < block_ * B_; ++row) {
      const float *x0 = block.x0.row(row), *x1 = &drawn_[(row / B_ * B_ + sigma_[row]) * d_];
      std::copy_n(x1, d_, block.x1.row(row));
      for (std::int64_t k = 0; k < d_; ++k) cost += static_cast<double>(x0[k] - x1[k]) * (x0[k] - x1[k]);
    }
    block.mean_cost = cost / static_cast<double>(block_ * B_);
  }

  Source source_;
  Dataset target_;
  std::int64_t B_, d_, block_;
  std::uint64_t seed_;
  CouplingStatistics statistics_;
  // The thread's, from the first feed() on.
  BatchSolver solver_;
  std::vector<float> drawn_;         // [block, B, d]
  std::vector<std::int64_t> sigma_;  // [block, B]
  PairsAhead ahead_;                 // last: its thread ends before what it uses
};

}  // namespace

CouplingEntry minibatch_coupling() {
  return {.name = "minibatch",
          .about = "optimal transport inside each batch",
          .consistent = false,
          .make = make_coupling<MinibatchCoupling>,
          .options = [] { return entries_of(kMinibatchOptions); },
          .check =
              [](const OptionValues& own) {
                (void)planner_options(minibatch_options(own), /*one_to_one=*/false, "the minibatch coupling");
              }};
}

}  // namespace otnfm
