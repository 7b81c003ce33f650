// phi_j(t_b) for every time of a batch and every dimension: the factor of g in a ResNet flow. See
// kernels/device/time_function.h for the kinds.
#pragma once

#include "kernels/device/time_function.h"
#include "kernels/op.h"

namespace otnfm {

struct TimeFunction {
  static constexpr const char* kName = "time_function";
  View<const float> t;       // [B]
  View<const float> w = {};  // [K, d], contiguous; no memory for identity (K = 0)
  View<float> phi;           // [B, d]
  TimeFunctionKind kind;
};
OTNFM_DECLARE_OP(time_function, TimeFunction);

/// Given dphi: dw = sum_b dphi_b d phi(t_b) / dw, in an order that does not depend on the number of threads.
struct TimeFunctionBackward {
  static constexpr const char* kName = "time_function_backward";
  View<const float> t;     // [B]
  View<const float> w;     // [K, d]
  View<const float> dphi;  // [B, d]
  View<float> dw;          // [K, d]
  TimeFunctionKind kind;   // not identity
};
OTNFM_DECLARE_OP(time_function_backward, TimeFunctionBackward);

/// For the checks of ops that have a phi in them: that w is what this kind wants for d dimensions.
void check_time_weights(const char* op, const char* name, const View<const float>& w, TimeFunctionKind kind,
                        std::int64_t d);

}  // namespace otnfm
