// Loads and stores of 16 bytes, the widest that a thread issues: a warp then moves 512 contiguous bytes an instruction,
// and a kernel bound by memory needs a quarter of the instructions. The address must be a multiple of 16 bytes: a
// launcher asks aligned16() of its pointers (and of its row strides) and takes a scalar kernel otherwise.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/device/host_device.h"

namespace otnfm {

/// All of these addresses are multiples of 16 bytes.
template <class... T>
bool aligned16(const T*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

/// Rows of this stride (in elements of T) all start at a multiple of 16 bytes where the first does.
template <class T>
bool stride_aligned16(std::int64_t stride) {
  return stride * static_cast<std::int64_t>(sizeof(T)) % 16 == 0;
}

/// 16 bytes of T: 4 floats, 8 bfloat16, 2 doubles.
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T values[kSize];

  OTNFM_HD T& operator[](int i) { return values[i]; }
  OTNFM_HD const T& operator[](int i) const { return values[i]; }
};

template <class T>
__device__ __forceinline__ Pack<T> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T>*>(from);
}

template <class T>
__device__ __forceinline__ void store_pack(T* to, const Pack<T>& pack) {
  *reinterpret_cast<Pack<T>*>(to) = pack;
}

__device__ __forceinline__ float4 load4(const float* from) {
  return *reinterpret_cast<const float4*>(from);
}

__device__ __forceinline__ void store4(float* to, float4 values) {
  *reinterpret_cast<float4*>(to) = values;
}

}  // namespace otnfm
