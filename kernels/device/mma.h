// Matrix products of a warp's registers on tensor cores (PTX mma.sync). On the host the same by shuffles.
#pragma once

#include <cuda_runtime.h>

#include "kernels/device/bfloat16.h"
#include "kernels/device/warp.h"

namespace otnfm {

/// Two bfloat16 of one 32-bit register: the first in the low half.
__device__ __forceinline__ unsigned pack_bfloat16(float first, float second) {
  return static_cast<unsigned>(bfloat16(first).bits) | static_cast<unsigned>(bfloat16(second).bits) << 16;
}

/// Two neighbours, the first of an even index.
__device__ __forceinline__ unsigned pair_at(const bfloat16* from) {
  return *reinterpret_cast<const unsigned*>(from);
}

/// c += a b for a 16 x 16 row by row, b 16 x 8 column by column, both bfloat16, c 16 x 8 in float32. With g = lane / 4
/// and q = 2 (lane % 4), a lane holds
///   a[0]: row g, columns q and q + 1;  a[1]: row g + 8;  a[2] and a[3]: the same rows, columns q + 8 and q + 9
///   b[0]: column g, rows q and q + 1;  b[1]: rows q + 8 and q + 9
///   c[0], c[1]: row g, columns q and q + 1;  c[2], c[3]: row g + 8
/// All lanes of the warp take part.
__device__ __forceinline__ void multiply_16x8x16(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if OTNFM_ON_GPU
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, g = lane / 4, q = 2 * (lane % 4);
  const auto low = [](unsigned word) { return float_of_bits(word << 16); };
  const auto high = [](unsigned word) { return float_of_bits(word & 0xffff0000u); };
  for (int k = 0; k < 16; k += 2) {
    const int holder = (k % 8) / 2, half = k / 8;
    const unsigned upper = __shfl_sync(kFullMask, a[2 * half], 4 * g + holder);
    const unsigned lower = __shfl_sync(kFullMask, a[2 * half + 1], 4 * g + holder);
    for (int j = 0; j < 2; ++j) {
      const unsigned column = __shfl_sync(kFullMask, b[half], 4 * (q + j) + holder);
      c[j] += low(upper) * low(column) + high(upper) * high(column);
      c[2 + j] += low(lower) * low(column) + high(lower) * high(column);
    }
  }
#endif
}

/// c += a b^T over k features, a multiple of 16, of 16 rows of a and 8 of b, both row_size apart in shared memory. With
/// g and q as above, `a` is where a lane's row g and feature q lie, `b` likewise.
__device__ __forceinline__ void multiply_rows(float (&c)[4], const bfloat16* a, const bfloat16* b, int row_size,
                                              int k) {
  for (int i = 0; i < k; i += 16) {
    const unsigned fragment_a[4] = {pair_at(a + i), pair_at(a + 8 * row_size + i), pair_at(a + i + 8),
                                    pair_at(a + 8 * row_size + i + 8)};
    const unsigned fragment_b[2] = {pair_at(b + i), pair_at(b + i + 8)};
    multiply_16x8x16(c, fragment_a, fragment_b);
  }
}

}  // namespace otnfm
