// One optimal assignment between a fixed bank of N noises and N data, solved once; each step takes B of its pairs at
// random. On the bank x1 is a function of x0: Var[x1 | x0] = 0. A finite data set is taken whole where the bank is as
// large.
#include <algorithm>
#include <chrono>

#include "engine/couplings/bank.h"
#include "engine/couplings/batch_solver.h"
#include "engine/couplings/conditional_variance.h"
#include "engine/couplings/couplings.h"
#include "engine/data/random_streams.h"
#include "engine/data/record_draw.h"
#include "ot/solve.h"

namespace otnfm {
namespace {

struct GlobalOptions : BankOptions, PairingOptions {};

constexpr OptionField<GlobalOptions> kGlobalOptions[] = {bank_field<GlobalOptions>("pairs of its bank"),
                                                         solver_field<GlobalOptions>(),
                                                         pairs_field<GlobalOptions>(/*one_to_one=*/true)};

GlobalOptions global_options(const OptionValues& own) {
  return options_from(kGlobalOptions, own, "the global coupling");
}

SolveOptions global_planner_options(const GlobalOptions& own) {
  return planner_options(own, /*one_to_one=*/true, "the global coupling");
}

class GlobalCoupling : public Coupling {
 public:
  GlobalCoupling(const Source& source, const Dataset& target, const CouplingOptions& options)
      : source_(source),
        options_(options),
        own_(global_options(options.own)),
        endless_(target.endless()),
        n_(endless_ ? own_.bank : std::min(own_.bank, target.count())),
        d_(target.dimension()) {
    x0_.resize(n_ * d_);
    x1_.resize(n_ * d_);
    source.draw({.seed = options.seed, .stream = kSourceBankStream}, x0());
    target.draw_distinct({.seed = options.seed, .stream = kTargetBankStream}, x1());
  }

  void prepare(const CouplingState& state) override {
    if (!state.empty()) {
      sigma_ = state.integers_of("sigma");
      check_permutation("global coupling", sigma_, n_);
    } else {
      SolveOptions solving = global_planner_options(own_);
      bool stopped = false;
      if (options_.watch)
        solving.watch = [&](const SolveProgress& at) {
          stopped = !options_.watch("assigning " + std::to_string(n_) + " pairs: " + std::to_string(at.iterations) +
                                    " iterations, " + std::to_string(static_cast<std::int64_t>(at.seconds)) + " s");
          return !stopped;
        };
      Stream stream(options_.device);
      const Solution solution =
          solve(stream, Problem::from_points(View<const float>(x0()), View<const float>(x1())), solving);
      const Assignment& assignment = solution.assignment;
      statistics_.device = solution.device;
      if (stopped) throw PairingStopped();
      statistics_.seconds = assignment.seconds;
      if (assignment.status != SolveStatus::converged)
        throw RunError("the global coupling of " + std::to_string(n_) +
                       " pairs was not solved: " + name_of(assignment.status));
      sigma_ = assignment.sigma;
    }
    std::vector<float> paired(n_ * d_);
    double cost = 0;
    for (std::int64_t i = 0; i < n_; ++i) {
      const std::int64_t j = sigma_[i];
      for (std::int64_t k = 0; k < d_; ++k) {
        paired[i * d_ + k] = x1_[j * d_ + k];
        const double difference = static_cast<double>(x0_[i * d_ + k]) - x1_[j * d_ + k];
        cost += difference * difference;
      }
    }
    x1_ = std::move(paired);
    statistics_.mean_cost = cost / static_cast<double>(n_);
    statistics_.conditional_variance =
        bank_conditional_variance(View<const float>(x0()), View<const float>(x1()), source_, options_.seed);
  }

  Pairs record(Tape& tape, View<const std::uint64_t> step) override {
    const RandomKey key{.seed = options_.seed, .stream = kPairStream, .step = step};
    const Tensor bank0 = record_constant(tape, x0(), held_), bank1 = record_constant(tape, x1(), held_);
    return {random_rows(tape, bank0, options_.batch, key), random_rows(tape, bank1, options_.batch, key)};
  }

  CouplingStatistics statistics() const override { return statistics_; }
  std::vector<std::string> notes() const override {
    if (endless_ || own_.bank <= n_) return {};
    return {"the bank holds " + std::to_string(n_) + " pairs, one of every row of the data: --bank " +
            std::to_string(own_.bank) + " is more than there are"};
  }
  CouplingState state() const override { return {.integers = {{"sigma", sigma_}}}; }

 private:
  View<float> x0() { return {x0_.data(), {n_, d_}}; }
  View<float> x1() { return {x1_.data(), {n_, d_}}; }

  Source source_;
  CouplingOptions options_;
  GlobalOptions own_;
  bool endless_;
  std::int64_t n_, d_;
  std::vector<float> x0_, x1_;  // after prepare(): row i of one belongs to row i of the other
  std::vector<std::int64_t> sigma_;
  CouplingStatistics statistics_;
  HeldMemory held_;
};

}  // namespace

CouplingEntry global_coupling() {
  return {.name = "global",
          .about = "one optimal assignment between a fixed bank of noise and the data, solved once",
          .consistent = true,
          .make = make_coupling<GlobalCoupling>,
          .options = [] { return entries_of(kGlobalOptions); },
          .check = [](const OptionValues& own) { (void)global_planner_options(global_options(own)); }};
}

}  // namespace otnfm
