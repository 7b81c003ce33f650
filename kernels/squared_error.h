// loss = 1/B sum_b weight_b ||prediction_b - target_b||^2, added up in double in an order that does not depend on the
// number of threads.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct SquaredError {
  static constexpr const char* kName = "squared_error";
  View<const float> prediction, target;  // [B, d]
  View<const float> weight;              // [B], or no memory: 1
  View<float> loss;                      // [1]; 0 where B = 0
};
OTNFM_DECLARE_OP(squared_error, SquaredError);

/// dprediction = dloss * 2/B weight (prediction - target)
struct SquaredErrorBackward {
  static constexpr const char* kName = "squared_error_backward";
  View<const float> prediction, target;  // [B, d]
  View<const float> weight;              // [B], or no memory: 1
  View<const float> dloss;               // [1]
  View<float> dprediction;               // [B, d]
};
OTNFM_DECLARE_OP(squared_error_backward, SquaredErrorBackward);

}  // namespace otnfm
