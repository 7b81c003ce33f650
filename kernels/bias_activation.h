// y = activation(z + bias): what follows a matrix product, in one pass over it.
#pragma once

#include "kernels/device/activation.h"
#include "kernels/op.h"

namespace otnfm {

struct BiasActivation {
  static constexpr const char* kName = "bias_activation";
  View<const float> z;     // [B, n]
  View<const float> bias;  // [n], or no memory: no bias
  View<float> y;           // [B, n], may be z
  Activation activation;
};
OTNFM_DECLARE_OP(bias_activation, BiasActivation);

/// Given dy: dz = dy * activation'(z + bias), and dbias = the column sums of dz, added up in an order that does not
/// depend on the number of threads.
struct BiasActivationBackward {
  static constexpr const char* kName = "bias_activation_backward";
  View<const float> z;     // [B, n], as the forward had it
  View<const float> bias;  // [n], or no memory
  View<const float> dy;    // [B, n]
  View<float> dz;          // [B, n], may be dy
  View<float> dbias;       // [n], or no memory: not wanted
  Activation activation;
};
OTNFM_DECLARE_OP(bias_activation_backward, BiasActivationBackward);

}  // namespace otnfm
