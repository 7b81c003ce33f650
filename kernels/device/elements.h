// Element-by-element kernels over matrices whose rows may have gaps. A thread moves kWidth neighbouring elements of a
// row at a time: 4 (16 bytes of float, so that a kernel bound by memory needs a quarter of the instructions) where the
// addresses allow it, else 1. Usage:
//     template <int kWidth> __global__ void add_kernel(Add a) {
//       for_each_group<kWidth>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) { ... });
//     }
//     flatten_if_contiguous(a.a, a.b, a.y);
//     launch(can_group(a.a, a.b, a.y) ? add_kernel<4> : add_kernel<1>, ...);
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/device/launch.h"
#include "kernels/device/vector.h"
#include "kernels/view.h"

namespace otnfm {

inline constexpr int kElementThreads = 256;
inline constexpr int kGroup = 4;

/// quotient and remainder of k by n. A 64-bit division takes some 70 instructions, so it is avoided where it can be.
__device__ __forceinline__ void divide(std::int64_t k, std::int64_t n, std::int64_t& quotient,
                                       std::int64_t& remainder) {
  if (k < n) {
    quotient = 0;
    remainder = k;
  } else if ((k >> 32) == 0) {  // and n <= k
    const std::uint32_t q = static_cast<std::uint32_t>(k) / static_cast<std::uint32_t>(n);
    quotient = q;
    remainder = static_cast<std::uint32_t>(k) - q * static_cast<std::uint32_t>(n);
  } else {
    quotient = k / n;
    remainder = k - quotient * n;
  }
}

/// body(i, j) for the first column j of every group of kWidth in row i, over all threads of the grid.
template <int kWidth, class Body>
__device__ __forceinline__ void for_each_group(std::int64_t rows, std::int64_t columns, const Body& body) {
  const std::int64_t groups_a_row = columns / kWidth, n = rows * groups_a_row;
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t k = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; k < n; k += step) {
    std::int64_t i, j;
    divide(k, groups_a_row, i, j);
    body(i, j * kWidth);
  }
}

/// Makes one row of matrices that have no gaps, if all are so.
template <class... T>
void flatten_if_contiguous(View<T>&... views) {
  if (!(views.contiguous() && ...)) return;
  ((views = View<T>(views.data, {1, views.size()})), ...);
}

/// Every group of kWidth starts at a multiple of its size.
template <int kWidth = kGroup, class... T>
bool can_group(const View<T>&... views) {
  const auto fits = [](const auto& v) {
    return reinterpret_cast<std::uintptr_t>(v.data) % (kWidth * sizeof(*v.data)) == 0 && v.columns() % kWidth == 0 &&
           (v.rows() <= 1 || v.row_stride() % kWidth == 0);
  };
  return (fits(views) && ...);
}

/// Blocks of kElementThreads for for_each_group.
inline std::int64_t element_grid(std::int64_t rows, std::int64_t columns, bool grouped) {
  return grid_for(rows * (columns / (grouped ? kGroup : 1)), kElementThreads);
}

}  // namespace otnfm
