// The update of a ResNet flow: y = x + phi * g, element by element (Bilos et al. 2021, equation 6). phi(0) = 0 makes y
// = x bit for bit at t = 0.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct Residual {
  static constexpr const char* kName = "residual";
  View<const float> x;    // [B, d]
  View<const float> phi;  // [B, d]
  View<const float> g;    // [B, d]
  View<float> y;          // [B, d], may be x
};

OTNFM_DECLARE_OP(residual, Residual);

/// Given dy: dphi = dy * g and dg = dy * phi. (dx = dy needs no kernel.)
struct ResidualBackward {
  static constexpr const char* kName = "residual_backward";
  View<const float> phi, g;  // [B, d]
  View<const float> dy;      // [B, d]
  View<float> dphi, dg;      // [B, d]
};

OTNFM_DECLARE_OP(residual_backward, ResidualBackward);

}  // namespace otnfm
