// The activations in double, for the references alone.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/device/activation.h"

namespace otnfm::cases {

inline double activated(Activation kind, double z) {
  switch (kind) {
    case Activation::identity:
      return z;
    case Activation::relu:
      return std::max(z, 0.0);
    case Activation::tanh:
      return std::tanh(z);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-z));
    case Activation::silu:
      return z / (1 + std::exp(-z));
    case Activation::gelu:
      return 0.5 * z * std::erfc(-z / std::sqrt(2.0));
    case Activation::softplus:
      return std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z)));
  }
  return NAN;
}

}  // namespace otnfm::cases
