// What pairs the rows inside a batch: one entry of the table a solver, for the minibatch coupling's `--solver`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "kernels/view.h"
#include "ot/exact.h"

namespace otnfm {

class BatchSolver {
 public:
  virtual ~BatchSolver() = default;

  /// sigma(s, i) is the row of target s that row i of source s goes with. source, target [S, B, d], sigma [S, B].
  /// Random choices are a function of (seed, first + s) alone. InputError for points that are not finite.
  virtual void solve(View<const float> source, View<const float> target, std::uint64_t seed, std::uint64_t first,
                     View<std::int64_t> sigma) = 0;

  /// Asked now and then; where it is false, solve() throws PairingStopped. Null: not asked.
  std::function<bool()> wanted = {};
};

/// The exact assignments of the squared Euclidean cost (ot/exact.h), as BatchSolver::solve() takes and gives them.
/// Throws PairingStopped within about a second of `wanted` (null: not asked) being false.
void solve_exact_while_wanted(View<const float> source, View<const float> target, View<std::int64_t> sigma,
                              ExactWorkspace& workspace, const std::function<bool()>& wanted);

struct BatchSolverEntry {
  const char* name;
  const char* about;
  std::unique_ptr<BatchSolver> (*make)();
};

std::span<const BatchSolverEntry> batch_solvers();

}  // namespace otnfm
