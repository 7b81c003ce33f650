// Optimal transport inside each batch of fresh draws. Which data a noise goes with depends on the rest of the batch, so
// x1 is not a function of x0: what is left of Var[x1 | x0] falls like B^(-2/r), r the data's intrinsic dimension, and
// shows as blur.
//
// The pairs of a block of steps are made together, one assignment a thread: on the CPU the cores are the step's as
// well, so running ahead on a thread of its own would gain nothing. Each step's draws are a function of (seed, step)
// alone, so the blocks' boundaries change nothing.
#include <algorithm>
#include <chrono>

#include "engine/train/conditional_variance.h"
#include "engine/train/couplings.h"
#include "engine/train/random_streams.h"
#include "ot/exact.h"

namespace otnfm {
namespace {

class MinibatchCoupling : public Coupling {
 public:
  MinibatchCoupling(const Source& source, const Dataset& target, const CouplingOptions& options)
      : source_(source), target_(target), B_(options.batch), d_(target.dimension()), seed_(options.seed) {
    // Some 16 MB of points at a time.
    block_ = std::clamp<std::int64_t>((4 << 20) / (2 * B_ * d_), 2, 32);
    x0_.resize(block_ * B_ * d_);
    x1_.resize(block_ * B_ * d_);
    paired_.resize(B_ * d_);
    sigma_.resize(block_ * B_);
  }

  void prepare(const CouplingState&) override {
    statistics_.conditional_variance = minibatch_conditional_variance(source_, target_, B_, seed_);
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
    for (std::int64_t i = 0; i < B_; ++i) std::copy_n(&x1_[(at + sigma_[at + i]) * d_], d_, &paired_[i * d_]);
    // On CUDA a copy from memory that is not pinned has left the host's when it returns, so both buffers may be written
    // again.
    copy_bytes(stream, fed_x0_.data, &x0_[at * d_], fed_x0_.size() * sizeof(float));
    copy_bytes(stream, fed_x1_.data, paired_.data(), fed_x1_.size() * sizeof(float));
  }

  CouplingStatistics statistics() const override { return statistics_; }

 private:
  void make_block(std::uint64_t step) {
    const auto start = std::chrono::steady_clock::now();
    first_ = step;
    filled_ = static_cast<std::uint64_t>(block_);
    for (std::int64_t k = 0; k < block_; ++k) {
      source_.draw({.seed = seed_, .stream = kSourceStream, .step = step + k}, {&x0_[k * B_ * d_], {B_, d_}});
      target_.draw({.seed = seed_, .stream = kTargetStream, .step = step + k}, {&x1_[k * B_ * d_], {B_, d_}});
    }
    solve_exact_batch({x0_.data(), {block_, B_, d_}}, {x1_.data(), {block_, B_, d_}}, {sigma_.data(), {block_, B_}},
                      workspace_);
    double cost = 0;
    for (std::int64_t row = 0; row < block_ * B_; ++row) {
      const float *x0 = &x0_[row * d_], *x1 = &x1_[(row / B_ * B_ + sigma_[row]) * d_];
      for (std::int64_t k = 0; k < d_; ++k) cost += static_cast<double>(x0[k] - x1[k]) * (x0[k] - x1[k]);
    }
    statistics_.mean_cost = cost / static_cast<double>(block_ * B_);
    statistics_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Source source_;
  Dataset target_;
  std::int64_t B_, d_, block_ = 1;
  std::uint64_t seed_, first_ = 0, filled_ = 0;  // steps first_ .. first_ + filled_ are made
  std::vector<float> x0_, x1_, paired_;          // [block, B, d], [block, B, d], [B, d]
  std::vector<std::int64_t> sigma_;              // [block, B]
  Memory feed_;
  View<float> fed_x0_, fed_x1_;  // what the tape reads, on its device
  ExactWorkspace workspace_;
  CouplingStatistics statistics_;
};

}  // namespace

std::unique_ptr<Coupling> make_minibatch_coupling(const Source& source, const Dataset& target,
                                                  const CouplingOptions& options) {
  return std::make_unique<MinibatchCoupling>(source, target, options);
}

}  // namespace otnfm
