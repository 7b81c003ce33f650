// Semidiscrete optimal transport: from a distribution that can only be drawn from to N points of mass 1/N each, squared
// Euclidean cost. Its dual is one concave function of N potentials,
//     D(g) = E_x min_j (|x - y_j|^2 - g_j) + mean_j g_j,    dD/dg_j = 1/N - P(x goes to j),
// and the map pairs every x, also one never seen, with argmin_j |x - y_j|^2 - g_j (kernels/biased_argmin.h). It is
// solved by stochastic ascent on fresh batches, its last iterates averaged: each step takes g_j up by rate * (1 - N
// times the share of the batch that went to j), and the rate falls geometrically, so that cells of very different sizes
// each pass through the rate that suits them.
//
// In few dimensions a cell exchanges mass with its neighbours alone, so an error that is the same over a large region
// would take N^(2/d) steps to leave. Hence coarse to fine: the means of 4^k neighbours are solved first, and the
// c-transform g(y) = min_x |x - y|^2 - f(x), f(x) = min_J |x - Y_J|^2 - g_J, over a sample of x, gives the finer
// level's potentials.
//
// A step is one biased_argmin of [B, d] x [N, d] and O(N) additions.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/stream.h"
#include "kernels/view.h"
#include "ot/assignment.h"
#include "ot/cost.h"

namespace otnfm {

/// Rates are in units of the standard deviation of |x - y_j|^2 over j.
struct SemidiscreteStage {
  double first_rate = 0.1, last_rate = 1e-4;
  std::int64_t steps = 200;
  std::int64_t batch = 16384;
};

struct SemidiscreteProgress {
  std::int64_t points = 0;  ///< of the level that is being solved
  std::int64_t step = 0;    ///< done, over all levels
  double chi_squared = 0;   ///< of the latest steps' potentials
  double seconds = 0;
};

struct SemidiscreteOptions {
  std::vector<SemidiscreteStage> stages = {};  ///< of all points; empty: default_stage()
  double chi_squared = 0.02;                   ///< stop where the latest steps' is below; 0: run all stages
  bool coarse_levels = true;                   ///< where d <= 8
  Device device = Device::cpu;                 ///< that searches for the points; the rest is the host's
  std::int64_t max_steps = std::numeric_limits<std::int64_t>::max();
  double max_seconds = std::numeric_limits<double>::infinity();
  std::function<bool()> wanted = {};  ///< asked every fraction of a second; false ends the solve as the watch does
  std::function<bool(const SemidiscreteProgress&)> watch =
      {};  ///< called every 50 steps; false ends the solve, and potentials are 0
};

struct Semidiscrete {
  std::vector<float> potentials;  ///< [N], mean 0
  /// N sum_j P(j)^2 - 1, P(j) the share of fresh x that goes to y_j: 0 where all points get the same, 1 where each gets
  /// as much as an exponential variable says. Unbiased, of 32,768 or more x that no step has seen.
  double chi_squared = 0;
  double dual = 0;  ///< D(g) of the same x
  std::int64_t steps = 0;
  double seconds = 0;
  SolveStatus status = SolveStatus::converged;  ///< iteration_limit: a cap came before the end of the stages
};

/// Fills out [B, d] with fresh draws; `batch` is another number at every call and always below 2^31.
using DrawSource = std::function<void(std::uint64_t batch, View<float> out)>;

/// What a level does (the finest where `stages` is empty): from potentials of 0, or from those of a coarser level.
SemidiscreteStage default_stage(std::int64_t points, std::int64_t dimension, bool from_nothing);

/// points [N, d]. Deterministic for a deterministic `draw`. InputError for an empty or non-finite `points`, points
/// whose squared distances exceed float32, or a stage without steps, batch or positive rates; RunError where memory
/// does not suffice.
Semidiscrete solve_semidiscrete(View<const float> points, const DrawSource& draw,
                                const SemidiscreteOptions& options = {});

}  // namespace otnfm
