// Groups of neighbouring elements that a thread loads and stores as one, at best 16 bytes, the most that there is: then
// a warp moves 512 contiguous bytes an instruction, and a kernel bound by memory needs a quarter of the instructions.
// The address must be a multiple of the group's size: a launcher asks aligned16() of its pointers (and of its row
// strides; can_group() of kernels/device/elements.h asks both), and takes a kernel of single elements otherwise.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

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

/// As many elements as 16 bytes hold.
template <class T>
inline constexpr int kWidest = 16 / static_cast<int>(sizeof(T));

/// kWidth elements that are loaded and stored as one.
template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Group {
  T values[kWidth];

  OTNFM_HD T& operator[](int i) { return values[i]; }
  OTNFM_HD const T& operator[](int i) const { return values[i]; }
};

template <int kWidth, class T>
__device__ __forceinline__ Group<std::remove_const_t<T>, kWidth> load_group(T* from) {
  return *reinterpret_cast<const Group<std::remove_const_t<T>, kWidth>*>(from);
}

template <class T, int kWidth>
__device__ __forceinline__ void store_group(T* to, const Group<T, kWidth>& group) {
  *reinterpret_cast<Group<T, kWidth>*>(to) = group;
}

template <class T, int kWidth>
__device__ __forceinline__ Group<float, kWidth> as_floats(const Group<T, kWidth>& group) {
  Group<float, kWidth> floats;
  for (int k = 0; k < kWidth; ++k) floats[k] = static_cast<float>(group[k]);
  return floats;
}

/// Rounded where T is bfloat16.
template <class T, int kWidth>
__device__ __forceinline__ Group<T, kWidth> stored_as(const Group<float, kWidth>& floats) {
  Group<T, kWidth> group;
  for (int k = 0; k < kWidth; ++k) group[k] = T(floats[k]);
  return group;
}

}  // namespace otnfm
