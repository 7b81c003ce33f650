// The rational-quadratic spline update of a coupling (Durkan et al., Neural Spline Flows, NeurIPS 2019): the last n
// columns that `index` names each go through a monotone spline of K bins on +-box, whose weights a conditioner made of
// the other columns, times phi(t): softmax(phi widths), softmax(phi heights) with bins of at least half an equal share
// of the box, and slopes e^(bound tanh(phi r / bound)) at the inner knots, 1 at the outer ones. Outside of the box the
// map is the identity, and so it is, bit for bit, where phi is 0. log|det| = sum of the log-slopes. Its inverse is a
// root of a quadratic. Columns that are not moved are copied.
#pragma once

#include "kernels/device/spline.h"
#include "kernels/op.h"

namespace otnfm {

struct SplineCoupling {
  static constexpr const char* kName = "spline_coupling";
  View<const float> x;             // [B, d]
  View<const float> raw;           // [B, n (3 K - 1)]: for each column K widths, K heights, K - 1 slopes
  View<const float> phi;           // [B, n]
  View<const std::int64_t> index;  // [d], a permutation: the d - n columns that stay, then the n that move
  View<float> y;                   // [B, d]
  View<float> log_det = {};        // [B], or no memory: not wanted
  SplineShape shape;
  bool inverse = false;
};
OTNFM_DECLARE_OP(spline_coupling, SplineCoupling);

/// Given dy and dlog_det. dx holds the gradient of the update alone, not what flows through the conditioner.
struct SplineCouplingBackward {
  static constexpr const char* kName = "spline_coupling_backward";
  View<const float> x, raw, phi;    // as the forward had them
  View<const std::int64_t> index;   // [d]
  View<const float> dy;             // [B, d], or no memory: zero
  View<const float> dlog_det = {};  // [B], or no memory: zero
  View<float> dx;                   // [B, d]
  View<float> draw;                 // [B, n (3 K - 1)]
  View<float> dphi;                 // [B, n]
  SplineShape shape;
  bool inverse = false;
};
OTNFM_DECLARE_OP(spline_coupling_backward, SplineCouplingBackward);

}  // namespace otnfm
