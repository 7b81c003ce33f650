// The numbers of kernels/time_embedding.h, the same bits on every backend.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/device/math.h"

namespace otnfm {

/// 1000 * 10000^(-k / K), rounded from double: an error of it is multiplied by t, and by 1000 before that.
OTNFM_HD float time_embedding_frequency(std::int64_t k, std::int64_t K) {
  constexpr double kLog2Of10000 = 13.287712379549449;
  return static_cast<float>(1000.0 * exp2(-kLog2Of10000 * static_cast<double>(k) / static_cast<double>(K)));
}

/// The angle is rounded to float, to 3e-5 at 1000; its sine and cosine are exact to 1.5e-7.
OTNFM_HD void time_embedding_of(float t, float frequency, float& sine, float& cosine) {
  sincos_of(mul_rn(t, frequency), sine, cosine);
}

}  // namespace otnfm
