// y_i = x_{index_i}: rows picked by number. A row whose index is outside of x becomes NaN.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct GatherRows {
  static constexpr const char* kName = "gather_rows";
  View<const float> x;             // [n, d]
  View<const std::int64_t> index;  // [B]
  View<float> y;                   // [B, d]
};
OTNFM_DECLARE_OP(gather_rows, GatherRows);

}  // namespace otnfm
