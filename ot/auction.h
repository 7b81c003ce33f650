// The auction on the CPU: an assignment within a relative gap of the optimum, and the potentials that prove it. It is
// for pairings that need not be optimal: the looser the gap, the sooner it ends. Gauss-Seidel bidding with
// epsilon-scaling (Bertsekas 1988; ot/matching/epsilon_scaling.h); what a small gap leaves over is ended by shortest
// augmenting paths, so that it never does much worse than the exact solver. How a bid finds its column:
//
//   points in few dimensions, n = m   short lists by a search of blocks, coarse to fine: O(n k) memory (multilevel.h)
//   costs that fit in memory          a pass over the row; in float32 while the gap allows it (dense_auction.h)
//   else                              short lists from rows that are computed anew (ot/costs/cost_columns.h)
//
// Where n != m there is one phase from potentials 0, since a column that stays free must keep 0. For whole costs and
// max_gap = 0 epsilon falls below 1 / (n + 1), in steps that double holds exactly; then the potentials are rounded to
// whole numbers, which makes them optimal and proves it with gap 0.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>

#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

struct AuctionOptions {
  double max_gap = 1e-6;  ///< relative, as Certificate::gap; 0: optimal, to rounding or, for whole costs, exactly
  bool certify = true;    ///< fill in Assignment::certificate (one more pass over all pairs)
  /// Refuse NaN and infinite entries, but for the +infinity of a matrix, which forbids its pair; without it they are
  /// undefined behaviour.
  bool check_input = true;
  int threads = 0;                                               ///< 0: host::thread_count(); 1 inside a batch
  double max_seconds = std::numeric_limits<double>::infinity();  ///< of a batch: for the whole stack
  std::int64_t max_iterations =
      std::numeric_limits<std::int64_t>::max();  ///< bids and augmenting paths, of each problem
  SolveWatch watch = {};                         ///< in a batch called for one problem at a time, and ends them all
  std::span<const double> warm_start = {};       ///< column potentials [m], any finite values; of no use where n != m
};

/// Memory that solves reuse. One call at a time may use it (a batch keeps one part a thread inside).
class AuctionWorkspace {
 public:
  AuctionWorkspace();
  ~AuctionWorkspace();
  AuctionWorkspace(AuctionWorkspace&&) noexcept;
  AuctionWorkspace& operator=(AuctionWorkspace&&) noexcept;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// Solves one problem; +infinity in a matrix forbids its pair, and a gap is of pairs that are allowed alone. The
/// smaller side is matched where n != m. The potentials are feasible, f_i + g_j <= C_ij, to the rounding of double, or,
/// where max_gap leaves room for it, of float32; a matched pair is above its own by what the gap allows. Throws
/// InputError for NaN or other infinite entries, a max_gap that is negative, or a warm start of another length;
/// RunError where memory does not suffice, with the bytes and what they were for. Empty problems are converged with
/// cost 0.
Assignment solve_auction(const Problem& problem, const AuctionOptions& options = {});

/// The same into `result`, whose vectors are reused.
void solve_auction(const Problem& problem, const AuctionOptions& options, AuctionWorkspace& workspace,
                   Assignment& result);

/// Solves a stack of problems, one thread a problem: results[b] is problems[b]'s. A warm start is for all of them.
/// An error in one problem is thrown after the others have finished.
void solve_auction_batch(std::span<const Problem> problems, const AuctionOptions& options, AuctionWorkspace& workspace,
                         std::span<Assignment> results);

}  // namespace otnfm
