// x_t = (1 - t) x0 + t x1: the straight line between the points of a pair, which the flow is trained to follow.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct Interpolate {
  static constexpr const char* kName = "interpolate";
  View<const float> x0, x1;  // [B, d]
  View<const float> t;       // [B]
  View<float> xt;            // [B, d]
};
OTNFM_DECLARE_OP(interpolate, Interpolate);

/// Given dxt: dx0 = (1 - t) dxt, dx1 = t dxt. An output without memory is not wanted.
struct InterpolateBackward {
  static constexpr const char* kName = "interpolate_backward";
  View<const float> t;    // [B]
  View<const float> dxt;  // [B, d]
  View<float> dx0, dx1;   // [B, d]
};
OTNFM_DECLARE_OP(interpolate_backward, InterpolateBackward);

}  // namespace otnfm
