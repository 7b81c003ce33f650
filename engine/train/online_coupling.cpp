// A pairing that is improved while the map trains on it (LOOM, arXiv 2603.15279): a permutation tau from the places of
// a bank to noises. Each of the N data has C places (`caches`), so there are N C noises, of which only the numbers are
// kept: 8 bytes a place, and a row of noise is drawn again from its number. A step takes B places, solves the
// assignment between their data and their noises, trains on the new pairs, and writes them back into tau. The total
// cost of tau never rises, there are finitely many permutations, so it ends at one that no batch can improve: on the
// bank x1 is then a function of x0. More caches bind each datum to more noise, which the map can less well learn by
// heart, but a pass over the bank, and so convergence, takes C times as many steps.
//
// A pass takes the places in an order of its own, a function of (seed, pass) alone; the last N C mod B of it are left
// out, so that no batch reaches over its end. Batches of one pass share no place: they can be solved in blocks, ahead
// of their steps, one assignment a thread. tau is written only when a step is fed, hence always that of the last step
// fed, and where blocks begin changes nothing.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "engine/data/sampler.h"
#include "engine/train/couplings.h"
#include "engine/train/random_streams.h"
#include "ot/exact.h"

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

class OnlineCoupling : public Coupling {
 public:
  OnlineCoupling(const Source& source, const Dataset& target, const CouplingOptions& options)
      : source_(source),
        target_(target),
        seed_(options.seed),
        data_(target.endless() ? options.bank : target.count()),
        places_(data_ * options.caches),
        B_(options.batch),
        d_(target.dimension()) {
    if (options.caches < 1)
      throw InputError("the online coupling keeps at least 1 noise a datum, not " + std::to_string(options.caches));
    if (data_ < 1)
      throw InputError("the bank of the online coupling needs at least one datum, not " + std::to_string(options.bank));
    if (B_ < 1 || B_ > places_)
      throw InputError("the online coupling takes batches of 1 to " + std::to_string(places_) +
                       " pairs, as many as its bank has, not " + std::to_string(B_));
    // Some 16 MB of points at a time.
    block_ = std::min(std::clamp<std::int64_t>((4 << 20) / (2 * B_ * d_), 2, 32), places_ / B_);
    if (target.endless()) {
      bank_.resize(data_ * d_);
      target.draw({.seed = seed_, .stream = kTargetBankStream}, {bank_.data(), {data_, d_}});
    }
    tau_.resize(places_);
    std::iota(tau_.begin(), tau_.end(), std::int64_t{0});
    x0_.resize(block_ * B_ * d_);
    x1_.resize(block_ * B_ * d_);
    paired_.resize(B_ * d_);
    place_.resize(block_ * B_);
    noise_.resize(block_ * B_);
    sigma_.resize(block_ * B_);
  }

  void prepare(const CouplingState& state) override {
    if (state.empty()) return;
    if (static_cast<std::int64_t>(state.size()) != places_)
      throw InputError("the saved online coupling has " + std::to_string(state.size()) + " pairs, the bank has " +
                       std::to_string(places_));
    std::vector<bool> taken(places_, false);
    for (std::int64_t noise : state) {
      if (noise < 0 || noise >= places_ || taken[noise])
        throw InputError("the saved online coupling is not a permutation");
      taken[noise] = true;
    }
    tau_ = state;
    filled_ = 0;
  }

  Pairs record(Tape& tape, View<const std::uint64_t>) override {
    const std::size_t bytes = static_cast<std::size_t>(B_ * d_) * sizeof(float);
    feed_ = Memory(tape.device(), 2 * bytes, "a batch of pairs");
    fed_x0_ = View<float>(reinterpret_cast<float*>(feed_.data()), {B_, d_});
    fed_x1_ = View<float>(reinterpret_cast<float*>(feed_.data() + bytes), {B_, d_});
    return {tape.external(fed_x0_), tape.external(fed_x1_)};
  }

  void feed(Stream& stream, std::uint64_t step) override {
    if (step < first_ || step >= first_ + filled_) make_block(step);
    const std::int64_t at = static_cast<std::int64_t>(step - first_) * B_;
    for (std::int64_t i = at; i < at + B_; ++i) {
      const std::int64_t partner = at + sigma_[i];
      tau_[place_[partner]] = noise_[i];
      std::copy_n(&x1_[partner * d_], d_, &paired_[(i - at) * d_]);
    }
    // On CUDA a copy from memory that is not pinned has left the host's when it returns, so both buffers may be written
    // again.
    copy_bytes(stream, fed_x0_.data, &x0_[at * d_], fed_x0_.size() * sizeof(float));
    copy_bytes(stream, fed_x1_.data, paired_.data(), fed_x1_.size() * sizeof(float));
  }

  CouplingStatistics statistics() const override { return statistics_; }
  CouplingState state() const override { return tau_; }

 private:
  // The steps from `step` on, as far as its pass goes.
  void make_block(std::uint64_t step) {
    const auto start = std::chrono::steady_clock::now();
    const std::uint64_t pass_steps = static_cast<std::uint64_t>(places_ / B_), pass = step / pass_steps;
    first_ = step;
    filled_ = std::min(static_cast<std::uint64_t>(block_), (pass + 1) * pass_steps - step);
    const std::int64_t steps = static_cast<std::int64_t>(filled_), pairs = steps * B_;

    const RandomPermutation order(places_, {.seed = seed_, .stream = kPairStream, .step = pass});
    const std::int64_t begin = static_cast<std::int64_t>(step - pass * pass_steps) * B_, caches = places_ / data_;
    const float* bank = target_.endless() ? bank_.data() : target_.rows().data;
    for (std::int64_t i = 0; i < pairs; ++i) {
      place_[i] = order(begin + i);
      noise_[i] = tau_[place_[i]];
      std::copy_n(bank + place_[i] / caches * d_, d_, &x1_[i * d_]);
    }
    source_.draw_rows({.seed = seed_, .stream = kSourceBankStream}, {noise_.data(), {pairs}},
                      {x0_.data(), {pairs, d_}});
    solve_exact_batch({x0_.data(), {steps, B_, d_}}, {x1_.data(), {steps, B_, d_}}, {sigma_.data(), {steps, B_}},
                      workspace_);

    double cost = 0, moved = 0;
    for (std::int64_t at = 0; at < pairs; at += B_) {
      double kept = 0, changed = 0;
      for (std::int64_t i = at; i < at + B_; ++i) {
        kept += squared_distance(&x0_[i * d_], &x1_[i * d_], d_);
        changed += squared_distance(&x0_[i * d_], &x1_[(at + sigma_[i]) * d_], d_);
      }
      // A tie changes nothing: rounding cannot raise the cost, nor equal data keep exchanging their noises.
      if (!(changed < kept)) std::iota(&sigma_[at], &sigma_[at] + B_, std::int64_t{0});
      cost += std::min(kept, changed);
      for (std::int64_t i = at; i < at + B_; ++i)
        moved += squared_distance(&x1_[i * d_], &x1_[(at + sigma_[i]) * d_], d_);
    }
    statistics_.mean_cost = cost / static_cast<double>(pairs);
    // Half the mean squared distance between the data that a noise met in two passes: E tr Var[x1 | x0] on the bank if
    // both are draws from the coupling that the map sees. In the first pass there is no earlier meeting.
    if (pass > 0) statistics_.conditional_variance = moved / 2 / static_cast<double>(pairs);
    statistics_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Source source_;
  Dataset target_;
  std::uint64_t seed_;
  std::int64_t data_, places_, B_, d_, block_ = 1;
  std::vector<float> bank_;                          // [data, d] of an endless target
  CouplingState tau_;                                // [places]: the number of a place's noise, after the last step fed
  std::uint64_t first_ = 0, filled_ = 0;             // steps first_ .. first_ + filled_ are solved
  std::vector<float> x0_, x1_, paired_;              // [block, B, d] as tau had them, likewise; [B, d]
  std::vector<std::int64_t> place_, noise_, sigma_;  // [block, B]
  Memory feed_;
  View<float> fed_x0_, fed_x1_;  // what the tape reads, on its device
  ExactWorkspace workspace_;
  CouplingStatistics statistics_;
};

}  // namespace

std::unique_ptr<Coupling> make_online_coupling(const Source& source, const Dataset& target,
                                               const CouplingOptions& options) {
  return std::make_unique<OnlineCoupling>(source, target, options);
}

}  // namespace otnfm
