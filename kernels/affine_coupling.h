// The affine coupling update (Dinh et al., ICLR 2017, with time as in Bilos et al. 2021): of a row's columns the last n
// that `index` names are moved by what a conditioner made of the others,
//   y = x e^l + m phi_m,  l = bound tanh(s phi_s / bound),  log|det| = sum of l,
// or, inverse, y = (x - m phi_m) e^-l and log|det| = -sum of l. phi = 0 makes y = x bit for bit. Columns that are not
// moved are copied.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct AffineCoupling {
  static constexpr const char* kName = "affine_coupling";
  View<const float> x;             // [B, d]
  View<const float> raw;           // [B, 2 n]: s, then m
  View<const float> phi_scale;     // [B, n]
  View<const float> phi_shift;     // [B, n]
  View<const std::int64_t> index;  // [d], a permutation: the d - n columns that stay, then the n that move
  View<float> y;                   // [B, d]
  View<float> log_det = {};        // [B], or no memory: not wanted
  float bound = 2;                 // > 0
  bool inverse = false;
};
OTNFM_DECLARE_OP(affine_coupling, AffineCoupling);

/// Given dy and dlog_det. dx holds the gradient of the update alone, not what flows through the conditioner.
struct AffineCouplingBackward {
  static constexpr const char* kName = "affine_coupling_backward";
  View<const float> x, raw, phi_scale, phi_shift;  // as the forward had them
  View<const std::int64_t> index;                  // [d]
  View<const float> dy;                            // [B, d], or no memory: zero
  View<const float> dlog_det;                      // [B], or no memory: zero
  View<float> dx;                                  // [B, d]
  View<float> draw;                                // [B, 2 n]
  View<float> dphi_scale, dphi_shift;              // [B, n]
  float bound = 2;
  bool inverse = false;
};
OTNFM_DECLARE_OP(affine_coupling_backward, AffineCouplingBackward);

}  // namespace otnfm
