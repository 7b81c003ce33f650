// Group normalisation (Wu & He 2018), the scale and shift of each image by an embedding (FiLM, Perez et al. 2018) and
// the activation, in one pass over memory: with z = (x - mean) rstd, mean and rstd over the N C / G numbers that an
// image has in a group,
//   y = activation((weight z + bias)(1 + scale) + shift).
// FiLM stands behind the normalisation, as in adaptive group normalisation (Dhariwal & Nichol 2021): in front of it the
// normalisation would undo most of what it says. Statistics are float32, of two passes: mean first.
#pragma once

#include "kernels/device/activation.h"
#include "kernels/op.h"

namespace otnfm {

inline constexpr std::int64_t kMostGroupNormChannels = 2048;

struct GroupNorm {
  static constexpr const char* kName = "group_norm";
  View<const Stored> x;                          // [B, N, C], N positions; C <= kMostGroupNormChannels, G divides it
  View<const float> weight;                      // [C]
  View<const float> bias;                        // [C]
  View<const float> film = {};                   // [B, 2C]: scale | shift of each image, or no memory: none
  View<Stored> y;                                // [B, N, C], stored as x is
  View<float> mean;                              // [B, G]
  View<float> rstd;                              // [B, G]: 1 / sqrt(variance + epsilon)
  Activation activation = Activation::identity;  // or silu
  float epsilon = 1e-5f;
};
OTNFM_DECLARE_OP(group_norm, GroupNorm);

/// Given dy: dx, and the gradients of weight, bias and film.
struct GroupNormBackward {
  static constexpr const char* kName = "group_norm_backward";
  View<const Stored> x;         // [B, N, C]
  View<const float> weight;     // [C]
  View<const float> bias;       // [C]
  View<const float> film = {};  // [B, 2C], or no memory
  View<const float> mean;       // [B, G], as the forward gave it
  View<const float> rstd;       // [B, G]
  View<const Stored> dy;        // [B, N, C], stored as x is
  View<Stored> dx;              // [B, N, C], stored as x is; may be dy
  View<float> dweight;          // [C]
  View<float> dbias;            // [C]
  View<float> dfilm = {};       // [B, 2C] where there is a film, else no memory
  Activation activation = Activation::identity;
};
OTNFM_DECLARE_OP(group_norm_backward, GroupNormBackward);

}  // namespace otnfm
