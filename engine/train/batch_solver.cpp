#include "engine/train/batch_solver.h"

#include <algorithm>

#include "ot/exact.h"
#include "ot/sinkhorn.h"

namespace otnfm {
namespace {

class Exact : public BatchSolver {
 public:
  void solve(View<const float> source, View<const float> target, std::uint64_t, std::uint64_t,
             View<std::int64_t> sigma) override {
    solve_exact_batch(source, target, sigma, workspace_);
  }

 private:
  ExactWorkspace workspace_;
};

View<const float> problem_of(const View<const float>& stack, std::int64_t s) {
  const std::int64_t rows = stack.shape[1], d = stack.shape[2];
  return {stack.data + s * rows * d, {rows, d}};
}

/// Pairs from the entropic plan at epsilon = 0.05 standard deviations of the cost.
template <bool kSampled>
class Sinkhorn : public BatchSolver {
 public:
  void solve(View<const float> source, View<const float> target, std::uint64_t seed, std::uint64_t first,
             View<std::int64_t> sigma) override {
    for (std::int64_t s = 0; s < sigma.rows(); ++s) {
      solver_.solve(Problem::from_points(problem_of(source, s), problem_of(target, s)), {}, result_);
      const Assignment pairs = kSampled ? solver_.sample_pairs(seed, first + static_cast<std::uint64_t>(s), false)
                                        : solver_.argmax_pairs(false);
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

std::span<const BatchSolverEntry> batch_solvers() {
  return kSolvers;
}

}  // namespace otnfm
