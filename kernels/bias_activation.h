// y = activation(z + bias): what follows a matrix product, in one pass over it.
#pragma once

#include "kernels/device/activation.h"
#include "kernels/op.h"

namespace otnfm {

struct BiasActivation {
  static constexpr const char* kName = "bias_activation";
  View<const Stored> z;    // [B, n]
  View<const float> bias;  // [n], or no memory: no bias
  View<Stored> y;          // [B, n], may be z; stored as z is
  Activation activation;
};
OTNFM_DECLARE_OP(bias_activation, BiasActivation);

/// Given dy: dz = dy * activation'(z + bias), and dbias = the column sums of dz, added up in an order that does not
/// depend on the number of threads.
struct BiasActivationBackward {
  static constexpr const char* kName = "bias_activation_backward";
  View<const Stored> z;    // [B, n], as the forward had it
  View<const float> bias;  // [n], or no memory
  View<const Stored> dy;   // [B, n], stored as z is, and so is
  View<Stored> dz;         // [B, n], may be dy
  View<float> dbias;       // [n], or no memory: not wanted; sums of dz before it is rounded
  Activation activation;
};
OTNFM_DECLARE_OP(bias_activation_backward, BiasActivationBackward);

}  // namespace otnfm
