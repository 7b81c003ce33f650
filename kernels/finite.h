// How many elements are NaN or infinite: what the tape's debug mode asks of every output.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct CountNonfinite {
  static constexpr const char* kName = "count_nonfinite";
  View<const Stored> x;       // [B, d]
  View<std::uint64_t> count;  // [1]
};
OTNFM_DECLARE_OP(count_nonfinite, CountNonfinite);

}  // namespace otnfm
