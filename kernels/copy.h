// Copies between layouts, and casts between float32 and bfloat16 (rounding to nearest, ties to even).
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct Copy {
  static constexpr const char* kName = "copy";
  View<const float> x;  // [B, d], any row stride
  View<float> y;        // [B, d], any row stride
};
OTNFM_DECLARE_OP(copy, Copy);

struct CastToBfloat16 {
  static constexpr const char* kName = "cast_to_bfloat16";
  View<const float> x;  // [B, d]
  View<bfloat16> y;     // [B, d]
};
OTNFM_DECLARE_OP(cast_to_bfloat16, CastToBfloat16);

struct CastToFloat32 {
  static constexpr const char* kName = "cast_to_float32";
  View<const bfloat16> x;  // [B, d]
  View<float> y;           // [B, d]
};
OTNFM_DECLARE_OP(cast_to_float32, CastToFloat32);

}  // namespace otnfm
