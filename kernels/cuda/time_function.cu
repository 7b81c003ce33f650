// Forward 4 bytes an element, backward 4, and one activation a term. Forward: a thread an element. Backward: a block
// has a tile of columns of one term; its threads share out the rows, each adding in double, and a tree over shared
// memory ends it, so the order is a function of the shape alone. Narrow matrices get narrow tiles, and so more threads
// a column.
#include "kernels/time_function.h"

#include <algorithm>

#include "kernels/device/launch.h"
#include "kernels/device/shared.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxTile = 32;  // columns a block: a warp reads 128 contiguous bytes

template <TimeFunctionKind kind>
__global__ void time_function_kernel(TimeFunction a) {
  const std::int64_t d = a.phi.columns(), n = a.phi.rows() * d, terms = time_function_terms(kind, a.w.shape[0]);
  for (std::int64_t e = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; e < n;
       e += std::int64_t{kThreads} * gridDim.x) {
    const std::int64_t i = e / d, j = e - i * d;
    const float t = a.t.data[i];
    float phi = t;
    if constexpr (kind != TimeFunctionKind::identity) {
      const float* w = a.w.data + j;
      phi = 0.0f;
      for (std::int64_t k = 0; k < terms; ++k)
        phi += time_function_term<kind>(t, w[k * d], is_fourier(kind) ? w[(terms + k) * d] : 0.0f);
      if constexpr (kind == TimeFunctionKind::bounded_fourier) phi *= fourier_bound(w, d, terms);
    }
    a.phi.row(i)[j] = phi;
  }
}

/// tile: columns a block, a power of two.
template <TimeFunctionKind kind>
__global__ void backward_kernel(TimeFunctionBackward a, int tile) {
  SHARED_ARRAY(double, sum_a, kThreads);
  SHARED_ARRAY(double, sum_s, kThreads);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % tile, first_row = thread / tile;
  const std::int64_t B = a.dphi.rows(), d = a.dphi.columns(), terms = time_function_terms(kind, a.w.shape[0]);
  const std::int64_t k = blockIdx.y, j = blockIdx.x * std::int64_t{tile} + lane;
  double own_a = 0, own_s = 0;
  if (j < d) {
    const float weight = a.w.data[k * d + j], frequency = is_fourier(kind) ? a.w.data[(terms + k) * d + j] : 0.0f;
    for (std::int64_t i = first_row; i < B; i += kThreads / tile) {
      const float upstream = a.dphi.row(i)[j];
      float da, ds = 0.0f;
      time_function_term_gradient<kind>(a.t.data[i], weight, frequency, da, ds);
      own_a += upstream * da;
      own_s += upstream * ds;
    }
  }
  sum_a[thread] = own_a;
  sum_s[thread] = own_s;
  for (int half = kThreads / 2; half >= tile; half /= 2) {
    __syncthreads();
    if (thread < half) {
      sum_a[thread] += sum_a[thread + half];
      sum_s[thread] += sum_s[thread + half];
    }
  }
  if (first_row != 0 || j >= d) return;
  a.dw.data[k * d + j] = static_cast<float>(sum_a[thread]);
  if constexpr (is_fourier(kind)) a.dw.data[(terms + k) * d + j] = static_cast<float>(sum_s[thread]);
}

__global__ void bound_gradient_kernel(TimeFunctionBackward a) {
  const std::int64_t d = a.dphi.columns(), terms = a.w.shape[0] / 2;
  for (std::int64_t j = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; j < d;
       j += std::int64_t{kThreads} * gridDim.x)
    bound_fourier_gradient(a.w.data + j, a.dw.data + j, d, terms);
}

}  // namespace

void time_function(Stream& stream, const TimeFunction& a) {
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    launch(time_function_kernel<kind>, grid_for(a.phi.size(), kThreads), kThreads, 0, stream.cuda(), a);
  });
}

void time_function_backward(Stream& stream, const TimeFunctionBackward& a) {
  const std::int64_t d = a.dphi.columns(), terms = time_function_terms(a.kind, a.w.shape[0]);
  int tile = 1;
  while (tile < kMaxTile && tile < d) tile *= 2;
  const dim3 grid(static_cast<unsigned>((d + tile - 1) / tile), static_cast<unsigned>(terms));
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    if constexpr (kind != TimeFunctionKind::identity) {
      launch(backward_kernel<kind>, grid, kThreads, 0, stream.cuda(), a, tile);
      if constexpr (kind == TimeFunctionKind::bounded_fourier)
        launch(bound_gradient_kernel, grid_for(d, kThreads), kThreads, 0, stream.cuda(), a);
    }
  });
}

}  // namespace otnfm::cuda
