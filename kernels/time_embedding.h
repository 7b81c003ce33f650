// The sinusoidal embedding of time (Vaswani et al. 2017; Ho et al. 2020 for images), with t in [0, 1] stretched to
// their 1000 steps: y = [cos(1000 t w_k) | sin(1000 t w_k)], w_k = 10000^(-k / K), k = 0 .. K - 1.
#pragma once

#include "kernels/op.h"

namespace otnfm {

/// No gradient flows to t.
struct TimeEmbedding {
  static constexpr const char* kName = "time_embedding";
  View<const float> t;  // [B]
  View<float> y;        // [B, 2K]
};
OTNFM_DECLARE_OP(time_embedding, TimeEmbedding);

}  // namespace otnfm
