// y = min(max(x, low), high): a NaN stays one.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct Clamp {
  static constexpr const char* kName = "clamp";
  View<const float> x;  // [B, d]
  View<float> y;        // [B, d]; may be x
  float low = 0, high = 1;
};
OTNFM_DECLARE_OP(clamp, Clamp);

/// Given dy: dx = dy where low <= x <= high, else 0.
struct ClampBackward {
  static constexpr const char* kName = "clamp_backward";
  View<const float> x, dy;  // [B, d]
  View<float> dx;           // [B, d]; may be dy
  float low = 0, high = 1;
};
OTNFM_DECLARE_OP(clamp_backward, ClampBackward);

}  // namespace otnfm
