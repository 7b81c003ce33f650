// The Euclidean norm of all gradients (one flat vector), and the factor that clips it: min(1, max_norm / norm). A norm
// that is not finite gives the factor NaN, so that AdamW leaves the weights alone. Added up in double, in an order that
// does not depend on the number of threads.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct GradientNorm {
  static constexpr const char* kName = "gradient_norm";
  View<const float> gradient;  // [n]
  View<float> norm;            // [1]
  View<float> clip_scale;      // [1]
  float max_norm;              // <= 0: no clipping, the factor is 1
};
OTNFM_DECLARE_OP(gradient_norm, GradientNorm);

}  // namespace otnfm
