// The gates of a GRU flow (Bilos et al. 2021, equation 7), element by element, on a state h that lives in +-box:
//   reset:  y = beta sigmoid(r) h,                 h = x held within +-box
//   gate:   y = x + phi alpha sigmoid(z) (box tanh(u) - h)
// The paper's state lies in (-1, 1), where the update contracts; data do not. The box carries the bound over to them,
// and holding x within it makes the residual a contraction everywhere.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct GruReset {
  static constexpr const char* kName = "gru_reset";
  View<const float> x;  // [B, d]
  View<const float> r;  // [B, d], or no memory: y = h
  View<float> y;        // [B, d]
  float box;            // > 0
  float beta;
};
OTNFM_DECLARE_OP(gru_reset, GruReset);

struct GruResetBackward {
  static constexpr const char* kName = "gru_reset_backward";
  View<const float> x;   // [B, d]
  View<const float> r;   // [B, d], or no memory
  View<const float> dy;  // [B, d]
  View<float> dx;        // [B, d]
  View<float> dr;        // [B, d], or no memory where r has none
  float box, beta;
};
OTNFM_DECLARE_OP(gru_reset_backward, GruResetBackward);

struct GruGate {
  static constexpr const char* kName = "gru_gate";
  View<const float> x, phi, z, u;  // [B, d]
  View<float> y;                   // [B, d]
  float box;                       // > 0
  float alpha;
};
OTNFM_DECLARE_OP(gru_gate, GruGate);

struct GruGateBackward {
  static constexpr const char* kName = "gru_gate_backward";
  View<const float> x, phi, z, u;  // [B, d]
  View<const float> dy;            // [B, d]
  View<float> dx, dphi, dz, du;    // [B, d]
  float box, alpha;
};
OTNFM_DECLARE_OP(gru_gate_backward, GruGateBackward);

}  // namespace otnfm
