// weight = 1 / t^2: the weighting of time under which, with phi(t) = t, the loss is plain displacement regression,
// whatever t was drawn. Below `lowest` the weight is that of `lowest`: at t = 0 the error would be 0 and the weight
// infinite.
#pragma once

#include "kernels/op.h"

namespace otnfm {

/// No gradient flows to t, which is drawn and not learnt.
struct TimeWeight {
  static constexpr const char* kName = "time_weight";
  View<const float> t;  // [B]
  View<float> weight;   // [B]
  float lowest;         // > 0
};
OTNFM_DECLARE_OP(time_weight, TimeWeight);

}  // namespace otnfm
