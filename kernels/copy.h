// Copies between layouts and storage types: float32 becomes bfloat16 by rounding to nearest, ties to even.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct Copy {
  static constexpr const char* kName = "copy";
  View<const Stored> x;  // [B, d], any row stride
  View<Stored> y;        // [B, d], any row stride
};
OTNFM_DECLARE_OP(copy, Copy);

}  // namespace otnfm
