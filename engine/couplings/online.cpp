// A pairing that is improved while the map trains on it (LOOM, arXiv 2603.15279): a permutation tau from the places of
// a bank to noises. Each of the N data has C places (`caches`), so there are N C noises, of which only the numbers are
// kept: 8 bytes a place, and a row of noise is drawn again from its number. A step takes B places, solves the
// assignment between their data and their noises, trains on the new pairs, and writes them back into tau. The total
// cost of tau never rises, there are finitely many permutations, so it ends at one that no batch can improve: on the
// bank x1 is then a function of x0. More caches bind each datum to more noise, which the map can less well learn by
// heart, but a pass over the bank, and so convergence, takes C times as many steps.
//
// A pass takes the places in an order of its own, a function of (seed, pass) alone; the last N C mod B of it are left
// out, so that no batch reaches over its end. Batches of one pass share no place: they can be solved in blocks, one
// assignment a thread, while earlier steps train (engine/couplings/pairs_ahead.h). There are two tau: the
// one that blocks are made from has all blocks written back; the state is that of the last step fed, so when blocks are
// made and where they begin changes nothing.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "engine/couplings/bank.h"
#include "engine/couplings/batch_solver.h"
#include "engine/couplings/couplings.h"
#include "engine/couplings/pairs_ahead.h"
#include "engine/data/random_permutation.h"
#include "engine/data/random_streams.h"

namespace otnfm {
namespace {

double squared_distance(const float* x, const float* y, std::int64_t d) {
  double sum = 0;
  for (std::int64_t k = 0; k < d; ++k) {
    const double difference = static_cast<double>(x[k]) - y[k];
    sum += difference * difference;
  }
  return sum;
}

struct OnlineOptions : BankOptions, PairingOptions {
  std::int64_t caches = 1;
};

constexpr OptionField<OnlineOptions> kOnlineOptions[] = {
    bank_field<OnlineOptions>(kBankOfEndlessData),
    {.key = "caches",
     .member = &OnlineOptions::caches,
     .help = "noises that it keeps for each datum: more are learnt by heart less easily, but the pairing takes longer "
             "to settle",
     .range = {1, 64}},
    solver_field<OnlineOptions>(),
    pairs_field<OnlineOptions>(/*one_to_one=*/true)};

OnlineOptions online_options(const OptionValues& own) {
  const OnlineOptions options = options_from(kOnlineOptions, own, "the online coupling");
  (void)planner_options(options, /*one_to_one=*/true, "the online coupling");
  return options;
}

class OnlineCoupling : public Coupling {
 public:
  OnlineCoupling(const Source& source, const Dataset& target, const CouplingOptions& options)
      : OnlineCoupling(source, target, options, online_options(options.own)) {}

  OnlineCoupling(const Source& source, const Dataset& target, const CouplingOptions& options, const OnlineOptions& own)
      : source_(source),
        target_(target),
        seed_(options.seed),
        data_(target.endless() ? own.bank : target.count()),
        places_(data_ * own.caches),
        B_(options.batch),
        d_(target.dimension()),
        solver_(own, options.device) {
    if (B_ < 1 || B_ > places_)
      throw InputError("the online coupling takes batches of 1 to " + std::to_string(places_) +
                       " pairs, as many as its bank has, not " + std::to_string(B_));
    if (target.endless()) {
      bank_.resize(data_ * d_);
      target.draw({.seed = seed_, .stream = kTargetBankStream}, {bank_.data(), {data_, d_}});
    }
    tau_.resize(places_);
    std::iota(tau_.begin(), tau_.end(), std::int64_t{0});
    // Some 16 MB of points at a time.
    block_ = std::min(std::clamp<std::int64_t>((4 << 20) / (2 * B_ * d_), 2, 32), places_ / B_);
    x1_.resize(block_ * B_ * d_);
    place_.resize(block_ * B_);
    sigma_.resize(block_ * B_);
    ahead_.emplace(
        options.device, B_, d_, block_, [this](PairBlock& block, bool anew) { make(block, anew); }, options.wanted);
    solver_.wanted = [this] { return ahead_->wanted(); };
  }

  void prepare(const CouplingState& state) override {
    if (state.empty()) return;
    check_permutation("online coupling", state.integers_of("tau"), places_);
    ahead_->forget();
    tau_ = state.integers_of("tau");
  }

  Pairs record(Tape& tape, View<const std::uint64_t>) override { return ahead_->record(tape); }

  void feed(Stream& stream, std::uint64_t step) override {
    const PairBlock& block = ahead_->feed(stream, step);
    const std::int64_t at = static_cast<std::int64_t>(step - block.first) * B_;
    for (std::int64_t i = at; i < at + B_; ++i) tau_[block.place[i]] = block.noise[i];
    statistics_.mean_cost = block.mean_cost;
    statistics_.device = block.device;
    if (!std::isnan(block.conditional_variance)) statistics_.conditional_variance = block.conditional_variance;
    statistics_.seconds = ahead_->seconds();
    statistics_.wait_seconds = ahead_->wait_seconds();
  }

  CouplingStatistics statistics() const override { return statistics_; }
  CouplingState state() const override { return {.integers = {{"tau", tau_}}}; }

 private:
  // The steps from block.first on, as far as their pass goes.
  void make(PairBlock& block, bool anew) {
    if (anew) ahead_tau_ = tau_;  // the thread that feeds is waiting
    const std::uint64_t pass_steps = static_cast<std::uint64_t>(places_ / B_), pass = block.first / pass_steps;
    block.steps = std::min(static_cast<std::uint64_t>(block_), (pass + 1) * pass_steps - block.first);
    const std::int64_t steps = static_cast<std::int64_t>(block.steps), pairs = steps * B_;

    const RandomPermutation order(places_, {.seed = seed_, .stream = kPairStream, .step = pass});
    const std::int64_t begin = static_cast<std::int64_t>(block.first - pass * pass_steps) * B_,
                       caches = places_ / data_;
    block.place.resize(static_cast<std::size_t>(pairs));
    block.noise.resize(static_cast<std::size_t>(pairs));
    for (std::int64_t i = 0; i < pairs; ++i) {
      place_[i] = order(begin + i);
      block.noise[i] = ahead_tau_[place_[i]];
      const std::int64_t row = place_[i] / caches;
      if (target_.endless())
        std::copy_n(&bank_[row * d_], d_, &x1_[i * d_]);
      else
        target_.copy_row(row, &x1_[i * d_]);
    }
    source_.draw_rows({.seed = seed_, .stream = kSourceBankStream}, {block.noise.data(), {pairs}},
                      block.x0.row_slice(0, pairs));
    solver_.solve({block.x0.data, {steps, B_, d_}}, {x1_.data(), {steps, B_, d_}}, seed_, block.first,
                  {sigma_.data(), {steps, B_}});
    block.device = solver_.device();

    double cost = 0, moved = 0;
    for (std::int64_t at = 0; at < pairs; at += B_) {
      double kept = 0, changed = 0;
      for (std::int64_t i = at; i < at + B_; ++i) {
        kept += squared_distance(block.x0.row(i), &x1_[i * d_], d_);
        changed += squared_distance(block.x0.row(i), &x1_[(at + sigma_[i]) * d_], d_);
      }
      // A tie changes nothing: rounding cannot raise the cost, nor equal data keep exchanging their noises.
      if (!(changed < kept)) std::iota(&sigma_[at], &sigma_[at] + B_, std::int64_t{0});
      cost += std::min(kept, changed);
      for (std::int64_t i = at; i < at + B_; ++i)
        moved += squared_distance(&x1_[i * d_], &x1_[(at + sigma_[i]) * d_], d_);
      for (std::int64_t i = at; i < at + B_; ++i) {
        const std::int64_t partner = at + sigma_[i];
        std::copy_n(&x1_[partner * d_], d_, block.x1.row(i));
        block.place[i] = place_[partner];
        ahead_tau_[block.place[i]] = block.noise[i];
      }
    }
    block.mean_cost = cost / static_cast<double>(pairs);
    // Half the mean squared distance between the data that a noise met in two passes: E tr Var[x1 | x0] on the bank if
    // both are draws from the coupling that the map sees. In the first pass there is no earlier meeting.
    if (pass > 0) block.conditional_variance = moved / 2 / static_cast<double>(pairs);
  }

  Source source_;
  Dataset target_;
  std::uint64_t seed_;
  std::int64_t data_, places_, B_, d_, block_ = 1;
  std::vector<float> bank_;        // [data, d] of an endless target
  std::vector<std::int64_t> tau_;  // [places]: the number of a place's noise, after the last step fed
  CouplingStatistics statistics_;
  // The thread's, from the first feed() on.
  std::vector<std::int64_t> ahead_tau_;      // tau after the last block made
  std::vector<float> x1_;                    // [block, B, d] as tau had them
  std::vector<std::int64_t> place_, sigma_;  // [block, B]
  BatchSolver solver_;
  std::optional<PairsAhead> ahead_;  // last: its thread ends before what it uses
};

}  // namespace

CouplingEntry online_coupling() {
  return {.name = "online",
          .about = "a bank's pairing, improved by each step's batch and kept (LOOM)",
          .consistent = true,
          .make = make_coupling<OnlineCoupling>,
          .options = [] { return entries_of(kOnlineOptions); },
          .check = [](const OptionValues& own) { (void)online_options(own); }};
}

}  // namespace otnfm
