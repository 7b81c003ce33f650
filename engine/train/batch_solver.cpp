#include "engine/train/batch_solver.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "engine/train/coupling.h"
#include "kernels/cpu/parallel.h"
#include "ot/sinkhorn.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

View<const float> problem_of(const View<const float>& stack, std::int64_t s) {
  const std::int64_t rows = stack.shape[1], d = stack.shape[2];
  return {stack.data + s * rows * d, {rows, d}};
}

void require_wanted(const std::function<bool()>& wanted) {
  if (wanted && !wanted()) throw PairingStopped();
}

/// `wanted` as a solver's watch, and what it has said: a solve that it ended has pairs that nobody may train on.
class WantedWatch {
 public:
  explicit WantedWatch(const std::function<bool()>& wanted) {
    if (wanted)
      watch_ = [this, &wanted](const SolveProgress&) {
        if (!wanted()) stopped_.store(true);
        return !stopped_.load();
      };
  }
  WantedWatch(const WantedWatch&) = delete;
  WantedWatch& operator=(const WantedWatch&) = delete;

  const SolveWatch& watch() const { return watch_; }
  void require() const {
    if (stopped_.load()) throw PairingStopped();
  }

 private:
  SolveWatch watch_;
  std::atomic<bool> stopped_ = false;
};

class Exact : public BatchSolver {
 public:
  void solve(View<const float> source, View<const float> target, std::uint64_t, std::uint64_t,
             View<std::int64_t> sigma) override {
    solve_exact_while_wanted(source, target, sigma, workspace_, wanted);
  }

 private:
  ExactWorkspace workspace_;
};

/// Pairs from the entropic plan at epsilon = 0.05 standard deviations of the cost.
template <bool kSampled>
class Sinkhorn : public BatchSolver {
 public:
  void solve(View<const float> source, View<const float> target, std::uint64_t seed, std::uint64_t first,
             View<std::int64_t> sigma) override {
    for (std::int64_t s = 0; s < sigma.rows(); ++s) {
      require_wanted(wanted);
      const WantedWatch wanted_watch(wanted);
      const SolveLimits limits(SolveLimits::kNoIterations, SolveLimits::kNoSeconds, &wanted_watch.watch());
      solver_.solve(Problem::from_points(problem_of(source, s), problem_of(target, s)), {.limits = &limits}, result_);
      wanted_watch.require();
      const Assignment pairs = kSampled
                                   ? solver_.sample_pairs(seed, first + static_cast<std::uint64_t>(s), false, &limits)
                                   : solver_.argmax_pairs(false, &limits);
      wanted_watch.require();
      std::ranges::copy(pairs.sigma, sigma.row(s));
    }
  }

 private:
  SinkhornSolver solver_;
  SinkhornResult result_;
};

template <class Solver>
std::unique_ptr<BatchSolver> make() {
  return std::make_unique<Solver>();
}

constexpr BatchSolverEntry kSolvers[] = {
    {"exact", "the optimal assignment", make<Exact>},
    {"sinkhorn-argmax", "each noise's likeliest datum in the entropic plan", make<Sinkhorn<false>>},
    {"sinkhorn-sampled", "a datum drawn from the entropic plan for each noise", make<Sinkhorn<true>>},
};

}  // namespace

void solve_exact_while_wanted(View<const float> source, View<const float> target, View<std::int64_t> sigma,
                              ExactWorkspace& workspace, const std::function<bool()>& wanted) {
  // Some hundred points take milliseconds each, some thousand a good part of a second, more take seconds.
  constexpr std::int64_t kQuick = 512, kLong = 4096;
  require_wanted(wanted);
  const bool fits =
      source.rank == 3 && same_shape(source, target) && same_shape(sigma, {source.shape[0], source.shape[1]});
  if (!fits || sigma.columns() <= kQuick) return solve_exact_batch(source, target, sigma, workspace);
  const std::int64_t S = sigma.rows(), B = sigma.columns();
  if (B > kLong) {
    Assignment result;
    for (std::int64_t s = 0; s < S; ++s) {
      require_wanted(wanted);
      const WantedWatch wanted_watch(wanted);
      solve_exact(Problem::from_points(problem_of(source, s), problem_of(target, s)),
                  {.certify = false, .watch = wanted_watch.watch()}, workspace, result);
      wanted_watch.require();
      std::ranges::copy(result.sigma, sigma.row(s));
    }
    return;
  }
  const std::int64_t together = cpu::thread_count();
  std::vector<Problem> problems;
  std::vector<Assignment> results;
  for (std::int64_t first = 0; first < S; first += together) {
    require_wanted(wanted);
    problems.clear();
    for (std::int64_t s = first; s < std::min(S, first + together); ++s)
      problems.push_back(Problem::from_points(problem_of(source, s), problem_of(target, s)));
    results.resize(problems.size());
    const WantedWatch wanted_watch(wanted);
    solve_exact_batch(problems, {.certify = false, .watch = wanted_watch.watch()}, workspace, results);
    wanted_watch.require();
    for (std::size_t k = 0; k < results.size(); ++k)
      std::ranges::copy(results[k].sigma, sigma.row(first + static_cast<std::int64_t>(k)));
  }
}

std::span<const BatchSolverEntry> batch_solvers() {
  return kSolvers;
}

}  // namespace otnfm
