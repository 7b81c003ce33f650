// Bertsekas' epsilon-scaling: phases of a forward auction with epsilon falling from one to the next, each of which
// starts from the potentials of the one before. It ends with the first phase whose matches cost no more than (1 +
// max_gap) times what the potentials prove, which the phase's epsilon bounds but is usually well below it.
//
// An auction is quick while epsilon is large beside the differences that decide, and slow below: its bids grow as 1 /
// epsilon. So it leaves to shortest augmenting paths what would take it many phases more.
#pragma once

#include <cstdint>

#include "ot/solve_limits.h"

namespace otnfm {

inline constexpr double kEpsilonRatio = 0.2;  // of a phase to that before

/// Sums over the rows: the cost of the matches, and a lower bound of every assignment's.
struct AuctionBounds {
  double primal = 0, dual = 0;
  double rounding = 0;   ///< what the arithmetic may have changed in their difference
  bool complete = true;  ///< every row is matched
};

/// Something that can hold an auction.
class AuctionPhases {
 public:
  virtual ~AuctionPhases() = default;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t columns() const = 0;

  /// One phase: starts from the matches that hold within epsilon, ends with all rows matched within epsilon; or
  /// earlier, at a time limit, after most_bids or when its bids are many times the rows. An epsilon too small to change
  /// the potentials does nothing. Where rows < columns, only once, from potentials of 0.
  virtual void auction(double epsilon, const SolveLimits& limits, std::int64_t most_bids) = 0;
  /// Not complete where the limits came first.
  virtual AuctionBounds bounds(const SolveLimits& limits) = 0;
  virtual std::int64_t bids() const = 0;
};

struct AuctionPlan {
  double max_gap = 0;        ///< relative, as in Certificate::gap; 0 cannot be reached by an auction of real costs
  double first_epsilon = 0;  ///< of the first phase, in units of cost
  double trial_epsilon = 0;  ///< where positive, of a phase before it that may end early: for potentials near the end
  int phases = 4;            ///< most, where max_gap is too small to be reached
  double offset = 0;         ///< what the true primal sum has more than that of the costs that are looked at
  double rounding = 0;       ///< of those costs, in the difference of primal and dual sums
  double unit = 0;           ///< where positive, every epsilon is the unit times a power of 2: exact for whole costs
};

enum class AuctionEnd : std::uint8_t {
  within_gap,   ///< every row is matched, and the gap is at most max_gap
  within_unit,  ///< every row is matched within epsilon = unit
  left_over,    ///< shortest augmenting paths are the better way on
  limit,        ///< a limit was reached
};

/// Runs phases until one of these. `limits` counts bids.
AuctionEnd run_auction(AuctionPhases& auction, const AuctionPlan& plan, const SolveLimits& limits);

}  // namespace otnfm
