// Each batch of noise and of data is sorted along the first axis, and equals go with equals in rank: the optimal
// assignment of the batch for the cost of that axis alone, in O(B log B). The other axes are paired by chance.
//
// Each step's draws are a function of (seed, step) alone, and so are its pairs, which are made ahead of the steps that
// train on them (engine/couplings/pairs_ahead.h).
#include <algorithm>
#include <numeric>

#include "engine/couplings/couplings.h"
#include "engine/couplings/pairs_ahead.h"
#include "engine/data/random_streams.h"

namespace otnfm {
namespace {

/// The rows of points in the order of their first numbers; those that are the same stay in order, so that no two
/// machines differ.
std::vector<std::int64_t> order_along_first_axis(View<const float> points) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(points.rows()));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](std::int64_t row) { return points.row(row)[0]; });
  return order;
}

class SortedCoupling : public Coupling {
 public:
  SortedCoupling(const Source& source, const Dataset& target, const CouplingOptions& options)
      : source_(source),
        target_(target),
        B_(options.batch),
        d_(target.dimension()),
        seed_(options.seed),
        drawn_(B_ * d_),
        ahead_(
            options.device, B_, d_, 1, [this](PairBlock& block, bool) { make(block); }, options.wanted) {}

  Pairs record(Tape& tape, View<const std::uint64_t>) override { return ahead_.record(tape); }

  void feed(Stream& stream, std::uint64_t step) override {
    statistics_.mean_cost = ahead_.feed(stream, step).mean_cost;
    statistics_.seconds = ahead_.seconds();
    statistics_.wait_seconds = ahead_.wait_seconds();
  }

  CouplingStatistics statistics() const override { return statistics_; }

 private:
  void make(PairBlock& block) {
    block.steps = 1;
    source_.draw({.seed = seed_, .stream = kSourceStream, .step = block.first}, block.x0);
    target_.draw({.seed = seed_, .stream = kTargetStream, .step = block.first}, {drawn_.data(), {B_, d_}});
    const std::vector<std::int64_t> noise = order_along_first_axis(block.x0),
                                    data = order_along_first_axis({drawn_.data(), {B_, d_}});
    double cost = 0;
    for (std::size_t rank = 0; rank < noise.size(); ++rank) {
      const float *x0 = block.x0.row(noise[rank]), *x1 = &drawn_[data[rank] * d_];
      std::copy_n(x1, d_, block.x1.row(noise[rank]));
      for (std::int64_t k = 0; k < d_; ++k) cost += static_cast<double>(x0[k] - x1[k]) * (x0[k] - x1[k]);
    }
    block.mean_cost = cost / static_cast<double>(B_);
  }

  Source source_;
  Dataset target_;
  std::int64_t B_, d_;
  std::uint64_t seed_;
  CouplingStatistics statistics_;
  std::vector<float> drawn_;  // [B, d], the thread's from the first feed() on
  PairsAhead ahead_;          // last: its thread ends before what it uses
};

}  // namespace

CouplingEntry sorted_coupling() {
  return {.name = "sorted",
          .about = "each batch by rank along the first axis, the others by chance",
          .consistent = false,
          .make = make_coupling<SortedCoupling>};
}

}  // namespace otnfm
