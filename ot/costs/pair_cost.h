// One cost of a problem, in double, straight from its points or its matrix: for the few pairs that are looked at alone.
// 3 d FLOPs; where whole rows are wanted, ot/costs/cost_rows.h reads each point once for many pairs.
#pragma once

#include <cstdint>

#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// C(i, j), 0 <= i < n, 0 <= j < m.
double pair_cost(const Problem& problem, std::int64_t i, std::int64_t j);

/// The least |C_ij| that is not 0: what an answer that costs nothing is judged beside. 0 where there is none, or time
/// is out before it is found.
double least_cost_size(const Problem& problem, const SolveLimits& limits);

/// The greatest double that is not above: for a bound from below.
double rounded_down(long double value);

}  // namespace otnfm
