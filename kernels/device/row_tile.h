// Products of 32 rows by 32 rows by a block of 128 threads, in float32, from slices of 32 features in shared memory: a
// thread has 4 rows by 2, so that it loads 6 numbers for 8 multiply-adds. The 16 threads that share their 4 rows are
// neighbours.
#pragma once

#include <cuda_runtime.h>

#include "kernels/device/math.h"
#include "kernels/device/vector.h"

namespace otnfm {

inline constexpr int kTileThreads = 128, kTile = 32, kSlice = 32;
inline constexpr int kThreadRows = 4, kThreadColumns = 2, kThreadsARow = 16;  // that share a row
/// Features lie one after another, each with its 32 rows side by side.
inline constexpr int kRowStride = kTile + 4;
static_assert(kTile == kThreadRows * (kTileThreads / kThreadsARow) && kTile == kThreadColumns * kThreadsARow);

/// The first of the thread's rows; its columns are thread_column() and that + kThreadsARow.
__device__ __forceinline__ int thread_row() {
  return static_cast<int>(threadIdx.x) / kThreadsARow * kThreadRows;
}
__device__ __forceinline__ int thread_column() {
  return static_cast<int>(threadIdx.x) % kThreadsARow;
}

/// products[r][c] += the thread's rows of a times its rows of b, over a slice of features; both [kSlice, kRowStride].
__device__ __forceinline__ void multiply_slices(const float* a, const float* b,
                                                float (&products)[kThreadRows][kThreadColumns]) {
#pragma unroll 4
  for (int k = 0; k < kSlice; ++k) {
    const auto left = load_group<kThreadRows>(a + k * kRowStride + thread_row());
    for (int c = 0; c < kThreadColumns; ++c) {
      const float right = b[k * kRowStride + thread_column() + c * kThreadsARow];
      for (int r = 0; r < kThreadRows; ++r) products[r][c] = fma_rn(left[r], right, products[r][c]);
    }
  }
}

}  // namespace otnfm
