// y = W min(1, target / sigma), sigma = u^T W v the largest singular value of W by kernels/power_iteration.h: a matrix
// whose spectral norm is at most the target. A smaller one is left as it is: it needs no change to be a contraction,
// and a last layer that starts at zero stays there.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct SpectralScale {
  static constexpr const char* kName = "spectral_scale";
  View<const float> w;       // [r, c]
  View<const float> u = {};  // [r], not read here: for the backward, which the tape makes from this struct
  View<const float> v = {};  // [c], likewise
  View<const float> sigma;   // [1]
  View<float> y;             // [r, c]
  float target;              // > 0
};
OTNFM_DECLARE_OP(spectral_scale, SpectralScale);

/// Given dy, with u and v held fixed (Miyato et al., equation 12): where sigma > target and f = target / sigma,
/// dw = f (dy - <dy, w> / sigma u v^T), otherwise dw = dy.
struct SpectralScaleBackward {
  static constexpr const char* kName = "spectral_scale_backward";
  View<const float> w;      // [r, c]
  View<const float> u;      // [r]
  View<const float> v;      // [c]
  View<const float> sigma;  // [1]
  View<const float> dy;     // [r, c]
  View<float> dw;           // [r, c], may be dy
  float target;
};
OTNFM_DECLARE_OP(spectral_scale_backward, SpectralScaleBackward);

}  // namespace otnfm
