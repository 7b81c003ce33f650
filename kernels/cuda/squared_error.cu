// 8 bytes an element forward, 12 backward, 3 FLOPs: bound by memory. The forward sums in double: a thread its own
// elements, a block its threads, then one block the blocks' sums; the number of blocks depends on the shape alone, so
// every run and every device gives the same bits.
#include "kernels/squared_error.h"

#include "kernels/device/elements.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

template <int kWidth>
__global__ void squared_error_kernel(SquaredError a, double* partial) {
  double sum = 0;
  for_each_group<kWidth>(a.prediction.rows(), a.prediction.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto prediction = load_group<kWidth>(a.prediction.row(i) + j),
               target = load_group<kWidth>(a.target.row(i) + j);
    double square = 0;
    for (int k = 0; k < kWidth; ++k) {
      const double difference = static_cast<double>(prediction[k]) - static_cast<double>(target[k]);
      square += difference * difference;
    }
    sum += a.weight.data == nullptr ? square : static_cast<double>(a.weight.data[i]) * square;
  });
  sum = block_sum<kElementThreads>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void mean_kernel(const double* partial, std::int64_t parts, std::int64_t rows, float* loss) {
  double sum = 0;
  for (std::int64_t k = threadIdx.x; k < parts; k += kElementThreads) sum += partial[k];
  sum = block_sum<kElementThreads>(sum);
  if (threadIdx.x == 0) *loss = rows == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(rows));
}

template <int kWidth>
__global__ void squared_error_backward_kernel(SquaredErrorBackward a, std::int64_t batch) {
  const float common = 2.0f * a.dloss.data[0] / static_cast<float>(batch);
  for_each_group<kWidth>(a.prediction.rows(), a.prediction.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto prediction = load_group<kWidth>(a.prediction.row(i) + j),
               target = load_group<kWidth>(a.target.row(i) + j);
    const float factor = a.weight.data == nullptr ? common : common * a.weight.data[i];
    Group<float, kWidth> dprediction;
    for (int k = 0; k < kWidth; ++k) dprediction[k] = factor * (prediction[k] - target[k]);
    store_group(a.dprediction.row(i) + j, dprediction);
  });
}

}  // namespace

void squared_error(Stream& stream, const SquaredError& arguments) {
  SquaredError a = arguments;
  const std::int64_t batch = a.prediction.rows();
  if (a.weight.data == nullptr) flatten_if_contiguous(a.prediction, a.target);
  const bool grouped = can_group(a.prediction, a.target);
  const std::int64_t parts = element_grid(a.prediction.rows(), a.prediction.columns(), grouped);
  double* const partial = reinterpret_cast<double*>(stream.workspace());
  launch(grouped ? squared_error_kernel<kGroup> : squared_error_kernel<1>, parts, kElementThreads, 0, stream.cuda(), a,
         partial);
  launch(mean_kernel, 1, kElementThreads, 0, stream.cuda(), partial, parts, batch, a.loss.data);
}

void squared_error_backward(Stream& stream, const SquaredErrorBackward& arguments) {
  SquaredErrorBackward a = arguments;
  const std::int64_t batch = a.prediction.rows();
  if (a.weight.data == nullptr) flatten_if_contiguous(a.prediction, a.target, a.dprediction);
  const bool grouped = can_group(a.prediction, a.target, a.dprediction);
  launch(grouped ? squared_error_backward_kernel<kGroup> : squared_error_backward_kernel<1>,
         element_grid(a.prediction.rows(), a.prediction.columns(), grouped), kElementThreads, 0, stream.cuda(), a,
         batch);
}

}  // namespace otnfm::cuda
