// loss = -1/B sum_b sum_k target_bk log softmax(logits_b)_k: the cross entropy of a classifier with the classes'
// shares, 1 for the class of a picture and 0 for the others. Added up in double in an order that does not depend on the
// number of threads. 8 bytes and an exponential a number.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct CrossEntropy {
  static constexpr const char* kName = "cross_entropy";
  View<const float> logits, target;  // [B, K], K >= 1
  View<float> loss;                  // [1]; 0 where B = 0
};
OTNFM_DECLARE_OP(cross_entropy, CrossEntropy);

/// dlogits = dloss / B (softmax(logits) sum_k target_k - target)
struct CrossEntropyBackward {
  static constexpr const char* kName = "cross_entropy_backward";
  View<const float> logits, target;  // [B, K]
  View<const float> dloss;           // [1]
  View<float> dlogits;               // [B, K]
};
OTNFM_DECLARE_OP(cross_entropy_backward, CrossEntropyBackward);

}  // namespace otnfm
