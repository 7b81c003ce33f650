// A block a matrix: its vectors and W stay in the caches between the two products of an iteration, and nothing but the
// block's own barriers orders them. W v takes a warp a row, W^T u a thread a column, so both read whole cache lines.
#include "kernels/power_iteration.h"

#include "kernels/device/launch.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 512;

__device__ double norm_of(const float* x, std::int64_t n) {
  double own = 0;
  for (std::int64_t j = threadIdx.x; j < n; j += kThreads) own += static_cast<double>(x[j]) * x[j];
  return sqrt(block_sum<kThreads>(own));
}

__device__ void scale_by(double factor, float* x, std::int64_t n) {
  for (std::int64_t j = threadIdx.x; j < n; j += kThreads) x[j] = static_cast<float>(x[j] * factor);
  __syncthreads();
}

__global__ void power_iteration_kernel(PowerIteration a) {
  const SpectralMatrix m = a.matrices[blockIdx.x];
  const float* W = a.weights.data + m.weight;
  float *u = a.left.data + m.left, *v = a.right.data + m.right;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;

  if (v != a.start.data + m.right)
    for (std::int64_t j = threadIdx.x; j < m.columns; j += kThreads) v[j] = a.start.data[m.right + j];
  for (std::int64_t i = threadIdx.x; i < m.rows; i += kThreads) u[i] = 0.0f;
  __syncthreads();

  double sigma = 0, residual = 0;
  for (int k = 0; k < a.iterations; ++k) {
    double own = 0;
    for (std::int64_t i = warp; i < m.rows; i += kThreads / kWarpSize) {
      float product = 0.0f;
      for (std::int64_t j = lane; j < m.columns; j += kWarpSize) product += W[i * m.columns + j] * v[j];
      product = warp_sum(product);
      if (lane != 0) continue;
      const double difference = product - sigma * u[i];
      own += difference * difference;
      u[i] = product;
    }
    residual = sqrt(block_sum<kThreads>(own));
    const double norm = norm_of(u, m.rows);
    if (!(norm > kLeastNorm)) {
      for (std::int64_t i = threadIdx.x; i < m.rows; i += kThreads) u[i] = 0.0f;
      if (threadIdx.x == 0) a.sigma.data[blockIdx.x] = 0.0f;
      return;
    }
    scale_by(1 / norm, u, m.rows);
    if (a.tolerance > 0 && k > 0 && residual <= a.tolerance * norm) {
      if (threadIdx.x == 0) a.sigma.data[blockIdx.x] = static_cast<float>(norm + residual);
      return;
    }
    for (std::int64_t j = threadIdx.x; j < m.columns; j += kThreads) {
      float sum = 0.0f;
      for (std::int64_t i = 0; i < m.rows; ++i) sum += u[i] * W[i * m.columns + j];
      v[j] = sum;
    }
    sigma = norm_of(v, m.columns);
    scale_by(1 / sigma, v, m.columns);
  }
  if (threadIdx.x == 0) a.sigma.data[blockIdx.x] = static_cast<float>(a.tolerance > 0 ? sigma + residual : sigma);
}

}  // namespace

void power_iteration(Stream& stream, const PowerIteration& a) {
  launch(power_iteration_kernel, a.count, kThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
