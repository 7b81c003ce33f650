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

/// upstream(i, j): the gradient of phi_j(t_i). tile: columns a block, a power of two. Where blockIdx.z goes beyond 0
/// there are several functions of the same times, whose weights start `apart` numbers from another.
template <TimeFunctionKind kind, class Upstream>
__global__ void time_gradient_kernel(View<const float> t, View<const float> w, Upstream upstream, View<float> dw,
                                     int tile, std::int64_t apart) {
  SHARED_ARRAY(double, sum_a, kTimeThreads);
  SHARED_ARRAY(double, sum_s, kTimeThreads);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % tile, first_row = thread / tile;
  const std::int64_t B = t.shape[0], d = w.shape[1], terms = time_function_terms(kind, w.shape[0]);
  const std::int64_t j = blockIdx.x * std::int64_t{tile} + lane, at = blockIdx.z * apart + blockIdx.y * d + j;
  double own_a = 0, own_s = 0;
  if (j < d) {
    const float weight = w.data[at], frequency = is_fourier(kind) ? w.data[at + terms * d] : 0.0f;
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
  dw.data[at] = static_cast<float>(sum_a[thread]);
  if constexpr (is_fourier(kind)) dw.data[at + terms * d] = static_cast<float>(sum_s[thread]);
}

/// Upstream tells the kernels of the ops apart: of the same name in two files they would be one symbol.
template <class Upstream>
__global__ void bound_gradient_kernel(View<const float> w, View<float> dw, Upstream, std::int64_t functions,
                                      std::int64_t apart) {
  const std::int64_t d = w.shape[1], terms = w.shape[0] / 2;
  for (std::int64_t e = blockIdx.x * std::int64_t{kTimeThreads} + threadIdx.x; e < functions * d;
       e += std::int64_t{kTimeThreads} * gridDim.x) {
    const std::int64_t at = e / d * apart + e % d;
    bound_fourier_gradient(w.data + at, dw.data + at, d, terms);
  }
}

/// dw [K, d] from t [B] and w [K, d]; of several functions at once, `apart` from another, where upstream reads
/// blockIdx.z.
template <TimeFunctionKind kind, class Upstream>
void launch_time_gradient(Stream& stream, const View<const float>& t, const View<const float>& w,
                          const Upstream& upstream, const View<float>& dw, std::int64_t functions = 1,
                          std::int64_t apart = 0) {
  const std::int64_t d = w.shape[1];
  int tile = 1;
  while (tile < kMaxTimeTile && tile < d) tile *= 2;
  const dim3 grid(static_cast<unsigned>((d + tile - 1) / tile),
                  static_cast<unsigned>(time_function_terms(kind, w.shape[0])), static_cast<unsigned>(functions));
  launch(time_gradient_kernel<kind, Upstream>, grid, kTimeThreads, 0, stream.cuda(), t, w, upstream, dw, tile, apart);
  if constexpr (kind == TimeFunctionKind::bounded_fourier)
    launch(bound_gradient_kernel<Upstream>, grid_for(functions * d, kTimeThreads), kTimeThreads, 0, stream.cuda(), w,
           dw, upstream, functions, apart);
}

}  // namespace otnfm
