// What kernels/dropout.h keeps, the same bits on every backend.
#pragma once

#include "kernels/device/philox.h"

namespace otnfm {

/// What a kept number is multiplied by: a division a number would round otherwise, and cost more.
OTNFM_HD float dropout_factor(float rate) {
  return 1.0f / (1.0f - rate);
}

/// x with the number's own word of Philox. An infinity or a NaN that is dropped is 0 as well.
OTNFM_HD float drop_out(float x, std::uint32_t word, float rate, float factor) {
  return select(uniform_of(word) >= rate, mul_rn(x, factor), 0.0f);
}

}  // namespace otnfm
