// 8 bytes a number forward, 12 backward: bound by the launch, as there are few of them. A thread a row; the rows'
// losses are added up by one block in an order of its own, the same at every run.
#include "kernels/cross_entropy.h"

#include "kernels/device/cross_entropy.h"
#include "kernels/device/launch.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kRowThreads = 128;

__global__ void row_losses_kernel(CrossEntropy a, double* of_rows) {
  const std::int64_t B = a.logits.rows(), K = a.logits.columns();
  for (std::int64_t i = blockIdx.x * std::int64_t{kRowThreads} + threadIdx.x; i < B;
       i += std::int64_t{kRowThreads} * gridDim.x)
    of_rows[i] = row_cross_entropy(a.logits.row(i), a.target.row(i), K);
}

__global__ void mean_of_rows_kernel(const double* of_rows, std::int64_t B, float* loss) {
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < B; i += kRowThreads) sum += of_rows[i];
  sum = block_sum<kRowThreads>(sum);
  if (threadIdx.x == 0) *loss = B == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(B));
}

__global__ void cross_entropy_backward_kernel(CrossEntropyBackward a) {
  const std::int64_t B = a.logits.rows(), K = a.logits.columns();
  const float factor = a.dloss.data[0] / static_cast<float>(B);
  for (std::int64_t i = blockIdx.x * std::int64_t{kRowThreads} + threadIdx.x; i < B;
       i += std::int64_t{kRowThreads} * gridDim.x)
    row_cross_entropy_gradient(a.logits.row(i), a.target.row(i), K, factor, a.dlogits.row(i));
}

}  // namespace

void cross_entropy(Stream& stream, const CrossEntropy& a) {
  double* const of_rows = reinterpret_cast<double*>(stream.workspace());
  const std::int64_t B = a.logits.rows();
  if (B > 0) launch(row_losses_kernel, grid_for(B, kRowThreads), kRowThreads, 0, stream.cuda(), a, of_rows);
  launch(mean_of_rows_kernel, 1, kRowThreads, 0, stream.cuda(), of_rows, B, a.loss.data);
}

void cross_entropy_backward(Stream& stream, const CrossEntropyBackward& a) {
  launch(cross_entropy_backward_kernel, grid_for(a.logits.rows(), kRowThreads), kRowThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
