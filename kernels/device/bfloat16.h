// bfloat16: the upper half of an IEEE float32 (8 exponent bits, 7 stored mantissa bits). Storage only: arithmetic is
// done in float. A type of our own, so that a build without the CUDA toolkit has it too; its bits are those of
// __nv_bfloat16.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/device/host_device.h"

namespace otnfm {

OTNFM_HD std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof(bits));
  return bits;
}

OTNFM_HD float float_of_bits(std::uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;

  /// Rounds to nearest, ties to even; NaN stays a (quiet) NaN.
  OTNFM_HD explicit bfloat16(float x) {
    const std::uint32_t b = bits_of(x);
    const std::uint32_t rounded = (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
    const bool is_nan = (b & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<std::uint16_t>(is_nan ? ((b >> 16) | 0x40u) : rounded);
  }

  OTNFM_HD explicit operator float() const { return float_of_bits(static_cast<std::uint32_t>(bits) << 16); }
};

static_assert(sizeof(bfloat16) == 2);

}  // namespace otnfm
