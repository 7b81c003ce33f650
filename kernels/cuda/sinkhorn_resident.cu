// 2 n m exponentials an iteration on one multiprocessor, 16 a clock: n = m = 224, 6300 clocks, 3.6 us at 1.75 GHz, and
// 132 problems at once; twice that, as each is preceded by two readings of shared memory. Nothing is read from the
// device's memory after the points, once, and nothing is waited for: an iteration of separate launches would take three
// times as long for the launches alone. The costs, by differences, 3 n m d FLOPs: d = 64, 9.6M, 25 us, once.
//
// A block a problem. The costs stay in shared memory with a row stride that is odd, so that a warp reads along a row
// and down a column without conflicts; a warp takes a row, then a column, with two passes over it: the largest, then
// the sum. (A grid that shares one larger problem would need a barrier over blocks, for which the stored regime's
// launches stand in.)
#include <limits>

#include "kernels/device/launch.h"
#include "kernels/device/sinkhorn_stage.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 1024, kWarps = kThreads / kWarpSize;
constexpr float kLog2E = 1.44269504f;

/// By a whole warp: -epsilon log mean_k exp((potential_k - cost_k) / epsilon), where scale = log2(e) / epsilon.
__device__ __forceinline__ float soft_minimum(const float* cost, int stride, const float* potential, int count,
                                              float scale) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  float highest = kLowest<float>;
  for (int k = lane; k < count; k += kWarpSize) highest = fmaxf(highest, potential[k] - cost[k * stride]);
  highest = warp_max(highest);
  float sum = 0;
  for (int k = lane; k < count; k += kWarpSize) sum += exp2_of((potential[k] - cost[k * stride] - highest) * scale);
  sum = warp_sum(sum);
  return -highest - log2f(sum / static_cast<float>(count)) / scale;
}

__global__ void __launch_bounds__(kThreads) resident_kernel(SinkhornResident a) {
  SHARED_DYNAMIC(float, memory);
  const int n = static_cast<int>(a.f.columns()), m = static_cast<int>(a.g.columns()), stride = m | 1;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize, warp = thread / kWarpSize;
  float *const costs = memory, *const f = costs + n * stride, *const g = f + n;
  const std::int64_t problem = blockIdx.x, d = a.x.columns();
  for (int pair = thread; pair < n * m; pair += kThreads) {
    const int i = pair / m, j = pair % m;
    const float *x = a.x.row(problem * n + i), *y = a.y.row(problem * m + j);
    float sum = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      const float apart = x[k] - y[k];
      sum = fma_rn(apart, apart, sum);
    }
    costs[i * stride + j] = sum;
  }
  for (int j = thread; j < m; j += kThreads) {
    g[j] = 0;
    a.g.row(problem)[j] = 0;
  }
  SinkhornStage stage = SinkhornStage::first(a);
  for (std::int32_t iteration = 1;; ++iteration) {
    const float scale = kLog2E / stage.epsilon;
    __syncthreads();
    for (int i = warp; i < n; i += kWarps) {
      const float value = soft_minimum(costs + i * stride, 1, g, m, scale);
      if (lane == 0) f[i] = value;
    }
    __syncthreads();
    // The new g goes to the device's memory first: where the solve ends here, the old one answers to f.
    float share = 0;
    for (int j = warp; j < m; j += kWarps) {
      const float value = soft_minimum(costs + j, stride, f, n, scale);
      if (lane == 0) {
        share += marginal_share(g[j], value, scale, m);
        a.g.row(problem)[j] = value;
      }
    }
    const float error = block_sum<kThreads>(share);
    if (stage.ends(a, error, iteration)) {  // the same for all threads
      for (int i = thread; i < n; i += kThreads) a.f.row(problem)[i] = f[i];
      for (int j = thread; j < m; j += kThreads) a.g.row(problem)[j] = g[j];
      if (thread == 0) {
        a.error.data[problem] = error;
        a.iterations.data[problem] = iteration;
      }
      return;
    }
    for (int j = thread; j < m; j += kThreads) g[j] = a.g.row(problem)[j];
  }
}

}  // namespace

void sinkhorn_resident(Stream& stream, const SinkhornResident& a) {
  const std::int64_t n = a.f.columns(), m = a.g.columns();
  const auto bytes = static_cast<std::size_t>(n * (m | 1) + n + m) * sizeof(float);
  launch(resident_kernel, a.f.rows(), kThreads, bytes, stream.cuda(), a);
}

}  // namespace otnfm::cuda
