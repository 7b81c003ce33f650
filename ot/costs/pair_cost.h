// One cost of a problem, in double, straight from its points or its matrix: for the few pairs that are looked at alone.
// 3 d FLOPs; where whole rows are wanted, ot/costs/cost_rows.h reads each point once for many pairs.
#pragma once

#include <cstdint>

#include "ot/cost.h"

namespace otnfm {

/// C(i, j), 0 <= i < n, 0 <= j < m.
double pair_cost(const Problem& problem, std::int64_t i, std::int64_t j);

}  // namespace otnfm
