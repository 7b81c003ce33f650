// One element of an affine coupling (kernels/affine_coupling.h), once for every backend.
#pragma once

#include "kernels/device/math.h"

namespace otnfm {

/// What an element's map is made of. The log-scale is bound tanh(s phi_s / bound), so |log scale| < bound whatever the
/// conditioner and phi_s are.
struct AffineElement {
  float squashed;   ///< tanh(s phi_s / bound)
  float log_scale;  ///< of this direction: negative of the forward's where the map is the inverse
  float scale;      ///< e^log_scale
  float shift;      ///< m phi_m
};

OTNFM_HD AffineElement affine_element(float s, float m, float phi_s, float phi_m, float bound, float direction) {
  AffineElement e;
  e.squashed = tanh_of(s * phi_s / bound);
  e.log_scale = direction * bound * e.squashed;
  e.scale = exp_of(e.log_scale);
  e.shift = m * phi_m;
  return e;
}

/// Forward x e^l + shift, inverse (x - shift) e^l.
OTNFM_HD float affine_map(const AffineElement& e, float x, bool inverse) {
  return inverse ? (x - e.shift) * e.scale : x * e.scale + e.shift;
}

struct AffineGradient {
  float dx, ds, dm, dphi_s, dphi_m;
};

OTNFM_HD AffineGradient affine_gradient(const AffineElement& e, float x, float s, float m, float phi_s, float phi_m,
                                        float direction, bool inverse, float dy, float dlog_det) {
  AffineGradient g;
  const float scaled = (inverse ? x - e.shift : x) * e.scale;
  const float dl = direction * (dy * scaled + dlog_det);
  const float dproduct = dl * (1.0f - e.squashed * e.squashed);
  const float dshift = inverse ? -dy * e.scale : dy;
  g.dx = dy * e.scale;
  g.ds = dproduct * phi_s;
  g.dphi_s = dproduct * s;
  g.dm = dshift * phi_m;
  g.dphi_m = dshift * m;
  return g;
}

}  // namespace otnfm
