// At most 8 (kDepth + 3) bytes an element read and 20 written: bound by memory, and small beside the network that made
// f(x). A warp a row; its lanes all solve the row's small system, which costs less than to share the result.
#include "kernels/device/inverse_step.h"

#include "kernels/device/launch.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 128, kRows = kThreads / kWarpSize;

__global__ void __launch_bounds__(kThreads) inverse_step_kernel(InverseStep a) {
  constexpr int kDepth = InverseRow::kDepth;
  const std::int64_t d = a.x.columns();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kRows + warp; i < a.x.rows(); i += std::int64_t{gridDim.x} * kRows) {
    double rr = 0, xx = 0, yy = 0;
    for (std::int64_t j = lane; j < d; j += kWarpSize) {
      const double x = a.x.row(i)[j], y = a.y.row(i)[j], r = a.y.row(i)[j] - a.image.row(i)[j];
      rr += r * r, xx += x * x, yy += y * y;
    }
    InverseRow row = InverseRow::open(a, i, warp_reduce(rr, Sum{}), warp_reduce(xx, Sum{}), warp_reduce(yy, Sum{}));
    double change_with[kDepth] = {}, residual_with[kDepth] = {}, gamma[kDepth] = {};
    if (row.mixes(a)) {  // the same for all lanes
      for (std::int64_t j = lane; j < d; j += kWarpSize) row.remember(a, i, j, change_with, residual_with);
      for (int k = 0; k < row.depth; ++k) {
        change_with[k] = warp_reduce(change_with[k], Sum{});
        residual_with[k] = warp_reduce(residual_with[k], Sum{});
      }
      row.solve(a, i, change_with, residual_with, gamma, lane == 0);
    }
    for (std::int64_t j = lane; j < d; j += kWarpSize) row.write(a, i, j, gamma);
    __syncwarp();  // all have read the state
    if (lane == 0) row.close(a, i);
  }
}

}  // namespace

void inverse_step(Stream& stream, const InverseStep& a) {
  launch(inverse_step_kernel, grid_for(a.x.rows(), kRows), kThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
