// The table of one processor; see kernels/host/simd.h for the macros that go before it.
#pragma once

#include "kernels/cpu/loops/argmin.h"
#include "kernels/cpu/loops/loops.h"
#include "kernels/cpu/loops/packed_rows.h"

namespace otnfm::cpu::OTNFM_PROCESSOR {

static constexpr Loops table() {
  return {.packed_floats = packed_rows<float>,
          .packed_bfloat16s = packed_rows<std::uint16_t>,
          .enclose = enclose,
          .search = search,
          .search_row = search_row};
}

}  // namespace otnfm::cpu::OTNFM_PROCESSOR

namespace otnfm::cpu {

// The file of this processor, and no other, includes this. NOLINTNEXTLINE(misc-definitions-in-headers)
constinit const Loops Loops::OTNFM_PROCESSOR = OTNFM_PROCESSOR::table();

}  // namespace otnfm::cpu
