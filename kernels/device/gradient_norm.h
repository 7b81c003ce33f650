// The factor that clips a gradient to a norm, once for every backend.
#pragma once

#include "kernels/device/math.h"

namespace otnfm {

/// Writes the norm, and min(1, max_norm / norm), or 1 where max_norm <= 0, or NaN where the norm is not finite in
/// float.
OTNFM_HD void finish_gradient_norm(double square, float max_norm, float* norm, float* clip_scale) {
  const double root = sqrt(square);
  *norm = static_cast<float>(root);
  const double ratio = max_norm > 0.0f ? max_norm / root : 1.0;  // infinite where the norm is 0
  const bool finite = root <= 3.4028234663852886e38;
  *clip_scale = finite ? (ratio < 1.0 ? static_cast<float>(ratio) : 1.0f) : float_of_bits(0x7fc00000u);
}

}  // namespace otnfm
