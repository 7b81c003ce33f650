// 4 bytes and 2 FLOPs a weight: bound by memory. Each block leaves one sum in the workspace and a second kernel of one
// block adds those, so that the order is a function of n alone. (A single kernel whose last block adds them would need
// a counter that somebody zeroes.)
#include "kernels/gradient_norm.h"

#include "kernels/device/gradient_norm.h"
#include "kernels/device/launch.h"
#include "kernels/device/vector.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 4;  // weights a thread takes at once

__global__ void sum_of_squares_kernel(const float* gradient, std::int64_t n, bool vector, double* partial) {
  double sum = 0;
  for (std::int64_t i = kWidth * (blockIdx.x * std::int64_t{kThreads} + threadIdx.x); i < n;
       i += kWidth * std::int64_t{kThreads} * gridDim.x) {
    Group<float, kWidth> x = {};
    if (vector && i + kWidth <= n)
      x = load_group<kWidth>(gradient + i);
    else
      for (int k = 0; k < kWidth && i + k < n; ++k) x[k] = gradient[i + k];
    for (int k = 0; k < kWidth; ++k) sum += static_cast<double>(x[k]) * x[k];
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void finish_kernel(const double* partial, int count, float max_norm, float* norm, float* clip_scale) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) sum += partial[i];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) finish_gradient_norm(sum, max_norm, norm, clip_scale);
}

}  // namespace

void gradient_norm(Stream& stream, const GradientNorm& a) {
  const std::int64_t n = a.gradient.shape[0], blocks = grid_for((n + kWidth - 1) / kWidth, kThreads);
  double* partial = reinterpret_cast<double*>(stream.workspace());
  launch(sum_of_squares_kernel, blocks, kThreads, 0, stream.cuda(), a.gradient.data, n, aligned16(a.gradient.data),
         partial);
  launch(finish_kernel, 1, kThreads, 0, stream.cuda(), partial, static_cast<int>(blocks), a.max_norm, a.norm.data,
         a.clip_scale.data);
}

}  // namespace otnfm::cuda
