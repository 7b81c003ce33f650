// y = value, every element.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct Fill {
  static constexpr const char* kName = "fill";
  View<float> y;  // [B, d]
  float value;
};
OTNFM_DECLARE_OP(fill, Fill);

}  // namespace otnfm
