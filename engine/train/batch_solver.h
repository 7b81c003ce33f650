// What pairs the rows inside a batch: one entry of the table a solver, for the minibatch coupling's `--solver`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kernels/view.h"

namespace otnfm {

class BatchSolver {
 public:
  virtual ~BatchSolver() = default;

  /// sigma(s, i) is the row of target s that row i of source s goes with. source, target [S, B, d], sigma [S, B].
  /// Random choices are a function of (seed, first + s) alone. InputError for points that are not finite.
  virtual void solve(View<const float> source, View<const float> target, std::uint64_t seed, std::uint64_t first,
                     View<std::int64_t> sigma) = 0;
};

struct BatchSolverEntry {
  const char* name;
  const char* about;
  std::unique_ptr<BatchSolver> (*make)();
};

std::span<const BatchSolverEntry> batch_solvers();

}  // namespace otnfm
