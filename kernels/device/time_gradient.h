// The gradient of the weights of phi(t) on a device, for the ops that have a phi in them (time_function, residual). A
// block has a tile of columns of one term; its threads share out the rows, each adding in double, and a tree over
// shared memory ends it, so the order is a function of the shape alone. Narrow matrices get narrow tiles, and so more
// threads a column.
#pragma once

#include "kernels/device/launch.h"
#include "kernels/device/shared.h"
#include "kernels/device/time_function.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace otnfm {

inline constexpr int kTimeThreads = 256;
inline constexpr int kMaxTimeTile = 32;  // columns a block: a warp reads 128 contiguous bytes

/// upstream(i, j): the gradient of phi_j(t_i). tile: columns a block, a power of two.
template <TimeFunctionKind kind, class Upstream>
__global__ void time_gradient_kernel(View<const float> t, View<const float> w, Upstream upstream, View<float> dw,
                                     int tile) {
  SHARED_ARRAY(double, sum_a, kTimeThreads);
  SHARED_ARRAY(double, sum_s, kTimeThreads);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % tile, first_row = thread / tile;
  const std::int64_t B = t.shape[0], d = w.shape[1], terms = time_function_terms(kind, w.shape[0]);
  const std::int64_t k = blockIdx.y, j = blockIdx.x * std::int64_t{tile} + lane;
  double own_a = 0, own_s = 0;
  if (j < d) {
    const float weight = w.data[k * d + j], frequency = is_fourier(kind) ? w.data[(terms + k) * d + j] : 0.0f;
    for (std::int64_t i = first_row; i < B; i += kTimeThreads / tile) {
      const float above = upstream(i, j);
      float da, ds = 0.0f;
      time_function_term_gradient<kind>(t.data[i], weight, frequency, da, ds);
      own_a += above * da;
      own_s += above * ds;
    }
  }
  sum_a[thread] = own_a;
  sum_s[thread] = own_s;
  for (int half = kTimeThreads / 2; half >= tile; half /= 2) {
    __syncthreads();
    if (thread < half) {
      sum_a[thread] += sum_a[thread + half];
      sum_s[thread] += sum_s[thread + half];
    }
  }
  if (first_row != 0 || j >= d) return;
  dw.data[k * d + j] = static_cast<float>(sum_a[thread]);
  if constexpr (is_fourier(kind)) dw.data[(terms + k) * d + j] = static_cast<float>(sum_s[thread]);
}

template <class Upstream>
__global__ void bound_gradient_kernel(View<const float> w, View<float> dw, Upstream) {
  const std::int64_t d = w.shape[1], terms = w.shape[0] / 2;
  for (std::int64_t j = blockIdx.x * std::int64_t{kTimeThreads} + threadIdx.x; j < d;
       j += std::int64_t{kTimeThreads} * gridDim.x)
    bound_fourier_gradient(w.data + j, dw.data + j, d, terms);
}

/// dw [K, d] from t [B] and w [K, d].
template <TimeFunctionKind kind, class Upstream>
void launch_time_gradient(Stream& stream, const View<const float>& t, const View<const float>& w,
                          const Upstream& upstream, const View<float>& dw) {
  const std::int64_t d = w.shape[1];
  int tile = 1;
  while (tile < kMaxTimeTile && tile < d) tile *= 2;
  const dim3 grid(static_cast<unsigned>((d + tile - 1) / tile),
                  static_cast<unsigned>(time_function_terms(kind, w.shape[0])));
  launch(time_gradient_kernel<kind, Upstream>, grid, kTimeThreads, 0, stream.cuda(), t, w, upstream, dw, tile);
  if constexpr (kind == TimeFunctionKind::bounded_fourier)
    launch(bound_gradient_kernel<Upstream>, grid_for(d, kTimeThreads), kTimeThreads, 0, stream.cuda(), w, dw, upstream);
}

}  // namespace otnfm
