// 4 bytes an element, 1 or 2 FLOPs: bound by memory. A warp takes a short row, a block a long one.
#include "kernels/reduce.h"

#include "kernels/device/launch.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kLongRow = 512;  // from where a warp would leave too few loads in flight

/// kThreadsARow threads, a warp or the block, share a row.
template <Reduction kReduction, int kThreadsARow>
__global__ void reduce_rows_kernel(ReduceRows a) {
  constexpr int kRowsABlock = kThreads / kThreadsARow;
  const int lane = static_cast<int>(threadIdx.x) % kThreadsARow, slot = static_cast<int>(threadIdx.x) / kThreadsARow;
  const std::int64_t d = a.x.columns();
  for (std::int64_t i = std::int64_t{blockIdx.x} * kRowsABlock + slot; i < a.x.rows();
       i += std::int64_t{gridDim.x} * kRowsABlock) {
    const float* x = a.x.row(i);
    float sum = 0;
    for (std::int64_t j = lane; j < d; j += kThreadsARow)
      sum += kReduction == Reduction::sum_of_squares ? x[j] * x[j] : x[j];
    if constexpr (kThreadsARow == kWarpSize)
      sum = warp_sum(sum);
    else
      sum = block_sum<kThreadsARow>(sum);
    if (lane == 0) a.y.data[i] = sum;
  }
}

template <Reduction kReduction>
void reduce(Stream& stream, const ReduceRows& a) {
  const auto run = [&]<int kThreadsARow>() {
    launch(reduce_rows_kernel<kReduction, kThreadsARow>, grid_for(a.x.rows(), kThreads / kThreadsARow), kThreads, 0,
           stream.cuda(), a);
  };
  a.x.columns() < kLongRow ? run.template operator()<kWarpSize>() : run.template operator()<kThreads>();
}

}  // namespace

void reduce_rows(Stream& stream, const ReduceRows& a) {
  a.reduction == Reduction::sum ? reduce<Reduction::sum>(stream, a) : reduce<Reduction::sum_of_squares>(stream, a);
}

}  // namespace otnfm::cuda
