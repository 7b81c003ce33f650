// Bound by memory: 8 bytes an element forward, 20 backward. The backward's inner product is made by up to 64 blocks,
// whose sums every block of the second launch adds up again for itself, in the same order.
#include "kernels/spectral_scale.h"

#include "kernels/device/elements.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr std::int64_t kInnerBlocks = 64;

__global__ void spectral_scale_kernel(SpectralScale a) {
  const float sigma = a.sigma.data[0], factor = sigma > a.target ? a.target / sigma : 1.0f;
  for_each_group<1>(a.w.rows(), a.w.columns(),
                    [&](std::int64_t i, std::int64_t j) { a.y.row(i)[j] = factor * a.w.row(i)[j]; });
}

__global__ void inner_product_kernel(View<const float> w, View<const float> dy, double* partial) {
  double own = 0;
  for_each_group<1>(w.rows(), w.columns(),
                    [&](std::int64_t i, std::int64_t j) { own += static_cast<double>(w.row(i)[j]) * dy.row(i)[j]; });
  const double sum = block_sum<kElementThreads>(own);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void backward_kernel(SpectralScaleBackward a, const double* partial, int partials) {
  const float sigma = a.sigma.data[0];
  const bool scaled = sigma > a.target;
  const double inner =
      block_sum<kElementThreads>(static_cast<int>(threadIdx.x) < partials ? partial[threadIdx.x] : 0.0);
  const float factor = scaled ? a.target / sigma : 1.0f, along = scaled ? static_cast<float>(inner / sigma) : 0.0f;
  for_each_group<1>(a.w.rows(), a.w.columns(), [&](std::int64_t i, std::int64_t j) {
    const float change = scaled ? along * a.u.data[i] * a.v.data[j] : 0.0f;
    a.dw.row(i)[j] = factor * (a.dy.row(i)[j] - change);
  });
}

}  // namespace

void spectral_scale(Stream& stream, const SpectralScale& arguments) {
  SpectralScale a = arguments;
  flatten_if_contiguous(a.w, a.y);
  launch(spectral_scale_kernel, element_grid(a.w.rows(), a.w.columns(), false), kElementThreads, 0, stream.cuda(), a);
}

void spectral_scale_backward(Stream& stream, const SpectralScaleBackward& a) {
  double* const partial = reinterpret_cast<double*>(stream.workspace());
  const std::int64_t blocks = grid_for(a.w.size(), kElementThreads, kInnerBlocks);
  launch(inner_product_kernel, blocks, kElementThreads, 0, stream.cuda(), a.w, a.dy, partial);
  launch(backward_kernel, element_grid(a.w.rows(), a.w.columns(), false), kElementThreads, 0, stream.cuda(), a, partial,
         static_cast<int>(blocks));
}

}  // namespace otnfm::cuda
