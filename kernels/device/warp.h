// Reductions over a warp and over a block of one dimension. Every thread gets the result, the same to the last bit, in
// an order that depends on the number of threads alone: a butterfly of shuffles (at step s lane i adds lane i ^ s),
// then one partial a warp through shared memory, then a second butterfly that every warp does for itself, which saves a
// broadcast. A block reduction costs 10 shuffles and 2 barriers.
//
// Every thread of the warp, or of the block, must take part: a thread without an element passes the identity (0, or
// -infinity).
#pragma once

#include <cuda_runtime.h>

#include <limits>
#include <type_traits>

#include "kernels/device/shared.h"

namespace otnfm {

inline constexpr int kWarpSize = 32;
inline constexpr unsigned kFullMask = 0xffffffffu;

/// lane ^ step's value; T is an arithmetic type or any trivially copyable struct of 4-byte words (an online
/// log-sum-exp, a value with its index).
template <class T>
__device__ __forceinline__ T shuffle_xor(const T& value, int step) {
  if constexpr (std::is_arithmetic_v<T>) {
    return __shfl_xor_sync(kFullMask, value, step);
  } else {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(unsigned) == 0);
    constexpr int kWords = sizeof(T) / sizeof(unsigned);
    unsigned words[kWords];
    memcpy(words, &value, sizeof(T));
    for (int i = 0; i < kWords; ++i) words[i] = __shfl_xor_sync(kFullMask, words[i], step);
    T other;
    memcpy(&other, words, sizeof(T));
    return other;
  }
}

/// combine(a, b) must be commutative: then all lanes agree to the last bit.
template <class T, class Combine>
__device__ __forceinline__ T warp_reduce(T value, const Combine& combine) {
  for (int step = kWarpSize / 2; step > 0; step /= 2) value = combine(value, shuffle_xor(value, step));
  return value;
}

/// For a block of exactly kThreads in one dimension. It ends with a barrier, so it may be called again at once; what a
/// thread wrote to shared or global memory before the call, the whole block sees after it.
template <int kThreads, class T, class Combine>
__device__ __forceinline__ T block_reduce(T value, T identity, const Combine& combine) {
  static_assert(kThreads % kWarpSize == 0 && kThreads >= kWarpSize && kThreads <= kWarpSize * kWarpSize);
  constexpr int kWarps = kThreads / kWarpSize;
#if OTNFM_SIMT
  if (blockDim.x != kThreads || blockDim.y != 1 || blockDim.z != 1)
    simt::stop("block_reduce<kThreads> in a block of another size");
#endif
  SHARED_ARRAY(T, partial, kWarps);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  value = warp_reduce(value, combine);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  value = warp_reduce(lane < kWarps ? partial[lane] : identity, combine);
  __syncthreads();
  return value;
}

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(const T& a, const T& b) const {
    return a + b;
  }
};

/// The larger; a NaN loses against a number, as in fmaxf.
struct Max {
  template <class T>
  __device__ __forceinline__ T operator()(const T& a, const T& b) const {
    return max(a, b);
  }
};

/// Below every T: -infinity, or the least integer.
template <class T>
inline constexpr T kLowest = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                                  : std::numeric_limits<T>::lowest();

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, Sum{});
}

template <class T>
__device__ __forceinline__ T warp_max(T value) {
  return warp_reduce(value, Max{});
}

template <int kThreads, class T>
__device__ __forceinline__ T block_sum(T value) {
  return block_reduce<kThreads>(value, T{}, Sum{});
}

}  // namespace otnfm
