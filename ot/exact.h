// The exact assignment on the CPU: min over one-to-one sigma of mean_i C(i, sigma(i)), optimal to the rounding of
// double arithmetic, exactly for integer matrices. Where n != m the smaller side is matched and the rest is -1, as
// SciPy's linear_sum_assignment has it.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>

#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

enum class ExactAlgorithm : std::uint8_t {
  automatic,   ///< the planner chooses, see plan_exact()
  dense,       ///< shortest augmenting paths over all columns, vectorised; stores the costs while they fit
  screened,    ///< a start found in float, then exact on short lists with proven bounds; for points, n = m
  multilevel,  ///< coarse to fine over short lists of near columns, priced; for points in few dimensions, n = m
};

const char* name_of(ExactAlgorithm algorithm);

struct ExactOptions {
  ExactAlgorithm algorithm = ExactAlgorithm::automatic;
  bool certify = true;  ///< fill in Assignment::certificate (one more pass over all pairs)
  /// Refuse NaN and infinite entries, but for the +infinity of a matrix, which forbids its pair; without it they are
  /// undefined behaviour.
  bool check_input = true;
  int threads = 0;                                               ///< 0: host::thread_count(); 1 inside a batch
  double max_seconds = std::numeric_limits<double>::infinity();  ///< of a batch: for the whole stack
  std::int64_t max_iterations = std::numeric_limits<std::int64_t>::max();  ///< augmenting paths, of each problem
  SolveWatch watch = {};  ///< in a batch called for one problem at a time, and ends them all
};

/// What `automatic` means for this problem; also printed by tools.
ExactAlgorithm plan_exact(const Problem& problem);

/// Memory that solves reuse, above all that of the costs, n m of them: a second solve of a size already seen takes no
/// more of it, only some lists of n and m. One call at a time may use it (a batch keeps one part a thread inside).
/// Without one, a call makes its own.
class ExactWorkspace {
 public:
  ExactWorkspace();
  ~ExactWorkspace();
  ExactWorkspace(ExactWorkspace&&) noexcept;
  ExactWorkspace& operator=(ExactWorkspace&&) noexcept;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// Solves one problem; +infinity in a matrix forbids its pair. Throws InputError for NaN or other infinite entries, or
/// an algorithm that does not fit the problem; RunError where memory does not suffice, with the bytes and what they
/// were for. Empty problems (n = 0 or m = 0) are converged with cost 0.
Assignment solve_exact(const Problem& problem, const ExactOptions& options = {});

/// The same into `result`, whose vectors are reused.
void solve_exact(const Problem& problem, const ExactOptions& options, ExactWorkspace& workspace, Assignment& result);

/// Solves a stack of problems, one thread a problem: results[b] is problems[b]'s. The spans have the same length.
/// May be called from any thread. An error in one problem is thrown after the others have finished.
void solve_exact_batch(std::span<const Problem> problems, const ExactOptions& options, ExactWorkspace& workspace,
                       std::span<Assignment> results);

/// The trainer's form: B problems [B, n, d] x [B, n, d] of squared Euclidean cost, whose pairings go to sigma [B, n].
/// No certificates. Throws InputError for shapes that disagree and for NaN or infinite points.
void solve_exact_batch(View<const float> source, View<const float> target, View<std::int64_t> sigma,
                       ExactWorkspace& workspace);

}  // namespace otnfm
