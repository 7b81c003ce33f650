// Bertsekas' epsilon-scaling over short lists: phases of a forward auction with epsilon falling from one to the next,
// each of which starts from the potentials of the one before. It ends with the first phase whose matches cost no more
// than (1 + max_gap) times what the potentials prove, which the phase's epsilon bounds but is usually well below it.
//
// An auction is quick while epsilon is large beside the differences that decide, and slow below: its bids grow as 1 /
// epsilon. So it leaves to shortest augmenting paths what would take it many phases more.
#pragma once

#include <cstdint>

#include "ot/short_list_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {

struct AuctionPlan {
  double max_gap = 0;        ///< relative, as in Certificate::gap; 0 cannot be reached by an auction of real costs
  double first_epsilon = 0;  ///< of the first phase, in units of cost
  int phases = 4;            ///< most, where max_gap is too small to be reached
  double unit = 0;           ///< where positive, every epsilon is the unit times a power of 2: exact for whole costs
};

enum class AuctionEnd : std::uint8_t {
  within_gap,   ///< every row is matched, and the gap is at most max_gap
  within_unit,  ///< every row is matched within epsilon = unit
  left_over,    ///< shortest augmenting paths are the better way on
  limit,        ///< a limit was reached
};

/// Runs phases until one of these. `limits` counts bids. n = m, or n < m and g = 0 (then a single phase).
AuctionEnd run_auction(ShortListAssignment& assignment, const AuctionPlan& plan, const SolveLimits& limits);

}  // namespace otnfm
