// Bound by memory. Backward: a warp a row, which zeroes it and then fills in what was selected.
#include "kernels/select_columns.h"

#include "kernels/device/elements.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

__global__ void select_columns_kernel(SelectColumns a) {
  const std::int64_t n = a.index.shape[0];
  for_each_group<1>(a.y.rows(), n + 1, [&](std::int64_t i, std::int64_t j) {
    a.y.row(i)[j] = j < n ? a.x.row(i)[a.index.data[j]] : a.t.data[i];
  });
}

__global__ void select_columns_backward_kernel(SelectColumnsBackward a) {
  const std::int64_t n = a.index.shape[0], d = a.dx.columns();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const std::int64_t warps = std::int64_t{gridDim.x} * (kElementThreads / kWarpSize);
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kElementThreads + threadIdx.x) / kWarpSize; i < a.dx.rows();
       i += warps) {
    const float* dy = a.dy.row(i);
    float* dx = a.dx.row(i);
    for (std::int64_t j = lane; j < d; j += kWarpSize) dx[j] = 0.0f;
    __syncwarp();
    for (std::int64_t j = lane; j < n; j += kWarpSize) dx[a.index.data[j]] = dy[j];
  }
}

}  // namespace

void select_columns(Stream& stream, const SelectColumns& a) {
  launch(select_columns_kernel, element_grid(a.y.rows(), a.y.columns(), false), kElementThreads, 0, stream.cuda(), a);
}

void select_columns_backward(Stream& stream, const SelectColumnsBackward& a) {
  launch(select_columns_backward_kernel, grid_for(a.dx.rows() * kWarpSize, kElementThreads), kElementThreads, 0,
         stream.cuda(), a);
}

}  // namespace otnfm::cuda
