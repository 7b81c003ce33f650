// The activations and their derivatives, once for every backend.
#pragma once

#include "kernels/device/math.h"

namespace otnfm {

/// gelu is the exact one, x * normal_cdf(x).
enum class Activation : int { identity, relu, tanh, sigmoid, silu, gelu, softplus };

template <Activation kind>
OTNFM_HD float activate(float z) {
  if constexpr (kind == Activation::relu) return z > 0.0f ? z : (z == z ? 0.0f : z);  // NaN stays
  if constexpr (kind == Activation::tanh) return tanh_of(z);
  if constexpr (kind == Activation::sigmoid) return sigmoid(z);
  if constexpr (kind == Activation::silu) return z / (1.0f + exp_of(-z));
  if constexpr (kind == Activation::gelu) return z * normal_cdf(z);
  if constexpr (kind == Activation::softplus) return softplus(z);
  return z;
}

/// d activate(z) / dz
template <Activation kind>
OTNFM_HD float activate_derivative(float z) {
  if constexpr (kind == Activation::relu) return z > 0.0f ? 1.0f : (z == z ? 0.0f : z);
  if constexpr (kind == Activation::tanh) {
    const float e = exp_of(z > 0.0f ? -2.0f * z : 2.0f * z);  // 1 - tanh^2 would cancel far from 0
    return 4.0f * e / ((1.0f + e) * (1.0f + e));
  }
  if constexpr (kind == Activation::sigmoid) {
    const float e = exp_of(z > 0.0f ? -z : z);
    return e / ((1.0f + e) * (1.0f + e));
  }
  if constexpr (kind == Activation::silu) {
    // sigmoid(z) and sigmoid(-z) by one division; 1 - sigmoid(z) would lose digits where z multiplies it
    const float e = exp_of(z > 0.0f ? -z : z), large = 1.0f / (1.0f + e), small = e * large;
    return (z > 0.0f ? large : small) * (1.0f + z * (z > 0.0f ? small : large));
  }
  if constexpr (kind == Activation::gelu) return normal_cdf(z) + z * 0.398942280f * exp_of(-0.5f * z * z);
  if constexpr (kind == Activation::softplus) return sigmoid(z);
  return 1.0f;
}

/// Calls body.template operator()<kind>() with the kind as a compile-time constant, so that inner loops do not branch.
template <class Body>
void with_activation(Activation kind, Body&& body) {
  switch (kind) {
    case Activation::identity:
      return body.template operator()<Activation::identity>();
    case Activation::relu:
      return body.template operator()<Activation::relu>();
    case Activation::tanh:
      return body.template operator()<Activation::tanh>();
    case Activation::sigmoid:
      return body.template operator()<Activation::sigmoid>();
    case Activation::silu:
      return body.template operator()<Activation::silu>();
    case Activation::gelu:
      return body.template operator()<Activation::gelu>();
    case Activation::softplus:
      return body.template operator()<Activation::softplus>();
  }
}

}  // namespace otnfm
