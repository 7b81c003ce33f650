// The update of a ResNet flow: y_j = x_j + phi_j(t) * g_j (Bilos et al. 2021, equation 6), phi as in
// kernels/device/time_function.h. phi(0) = 0 makes y = x bit for bit at t = 0. phi is computed where it is needed and
// never stored: written and read again it would be 8 bytes an element each way.
#pragma once

#include "kernels/device/time_function.h"
#include "kernels/op.h"

namespace otnfm {

struct Residual {
  static constexpr const char* kName = "residual";
  View<const float> t;       // [B]
  View<const float> w = {};  // [K, d], contiguous; no memory for identity (K = 0)
  View<const float> x;       // [B, d]
  View<const float> g;       // [B, d]
  View<float> y;             // [B, d], may be x
  TimeFunctionKind kind;
};

OTNFM_DECLARE_OP(residual, Residual);

/// Given dy: dg = dy * phi(t) and dw = sum_b dy_b g_b d phi(t_b) / dw, in an order that does not depend on the number
/// of threads. (dx = dy needs no kernel.)
struct ResidualBackward {
  static constexpr const char* kName = "residual_backward";
  View<const float> t;       // [B]
  View<const float> w = {};  // [K, d], contiguous; no memory for identity
  View<const float> g;       // [B, d]
  View<const float> dy;      // [B, d]
  View<float> dg;            // [B, d]
  View<float> dw = {};       // [K, d], contiguous, or no memory: not wanted
  TimeFunctionKind kind;
};

OTNFM_DECLARE_OP(residual_backward, ResidualBackward);

}  // namespace otnfm
