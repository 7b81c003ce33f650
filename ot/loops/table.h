// The table of one processor; see kernels/host/simd.h for the macros that go before it.
#pragma once

#include "ot/loops/loops.h"
#include "ot/loops/pair_costs.h"
#include "ot/loops/product.h"
#include "ot/loops/sinkhorn_rows.h"

namespace otnfm::OTNFM_PROCESSOR {

static constexpr Loops table() {
  return {.pair_costs = pair_costs,
          .row_minima = row_minima,
          .pair_cost = pair_cost,
          .product = product,
          .screen = screen,
          .exponentials = exponentials,
          .highest_exponent = highest_exponent,
          .add_rows = add_rows,
          .add_stably = add_stably,
          .plan_row = plan_row};
}

}  // namespace otnfm::OTNFM_PROCESSOR

namespace otnfm {

// The file of this processor, and no other, includes this. NOLINTNEXTLINE(misc-definitions-in-headers)
constinit const Loops Loops::OTNFM_PROCESSOR = OTNFM_PROCESSOR::table();

}  // namespace otnfm
