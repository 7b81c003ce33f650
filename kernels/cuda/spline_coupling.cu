// 4 (3 K + 3) bytes a moved element, some 4 K exponentials of the hardware and 6 K FLOPs in double: bound by memory
// where double runs at half the rate of float (H100). A row belongs to one thread where few columns move (in the
// plane), else to a warp; either sums its log-slopes without a second launch.
#include "kernels/spline_coupling.h"

#include "kernels/device/launch.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 128;
constexpr std::int64_t kFewColumns = 16;

/// kLanes: threads a row, 1 or a warp.
template <int kLanes>
__global__ void spline_coupling_kernel(SplineCoupling a) {
  const std::int64_t d = a.x.columns(), n = a.phi.columns(), kept = d - n, weights = a.shape.weights();
  const std::int64_t* moved = a.index.data + kept;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kLanes; i < a.x.rows();
       i += std::int64_t{gridDim.x} * (kThreads / kLanes)) {
    const float *x = a.x.row(i), *raw = a.raw.row(i), *phi = a.phi.row(i);
    float* y = a.y.row(i);
    double sum = 0;
    for (std::int64_t j = lane; j < n; j += kLanes)
      y[moved[j]] = spline_map(raw + j * weights, phi[j], a.shape, x[moved[j]], a.inverse, sum);
    for (std::int64_t j = lane; j < kept; j += kLanes) y[a.index.data[j]] = x[a.index.data[j]];
    if (a.log_det.data == nullptr) continue;
    if constexpr (kLanes == kWarpSize) sum = warp_sum(sum);
    if (lane == 0) a.log_det.data[i] = static_cast<float>(sum);
  }
}

template <int kLanes>
__global__ void backward_kernel(SplineCouplingBackward a) {
  const std::int64_t d = a.x.columns(), n = a.phi.columns(), kept = d - n, weights = a.shape.weights();
  const std::int64_t* moved = a.index.data + kept;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kLanes; i < a.x.rows();
       i += std::int64_t{gridDim.x} * (kThreads / kLanes)) {
    const float *x = a.x.row(i), *raw = a.raw.row(i), *phi = a.phi.row(i);
    const float* dy = a.dy.data == nullptr ? nullptr : a.dy.row(i);
    const float dlog_det = a.dlog_det.data == nullptr ? 0.0f : a.dlog_det.data[i];
    float *dx = a.dx.row(i), *draw = a.draw.row(i);
    for (std::int64_t j = lane; j < n; j += kLanes) {
      float dphi;
      dx[moved[j]] = spline_gradient(raw + j * weights, phi[j], a.shape, x[moved[j]], a.inverse,
                                     dy ? dy[moved[j]] : 0.0f, dlog_det, draw + j * weights, dphi);
      a.dphi.row(i)[j] = dphi;
    }
    for (std::int64_t j = lane; j < kept; j += kLanes) dx[a.index.data[j]] = dy ? dy[a.index.data[j]] : 0.0f;
  }
}

}  // namespace

void spline_coupling(Stream& stream, const SplineCoupling& a) {
  const bool few = a.phi.columns() < kFewColumns;
  launch(few ? spline_coupling_kernel<1> : spline_coupling_kernel<kWarpSize>,
         grid_for(a.x.rows() * (few ? 1 : kWarpSize), kThreads), kThreads, 0, stream.cuda(), a);
}

void spline_coupling_backward(Stream& stream, const SplineCouplingBackward& a) {
  const bool few = a.phi.columns() < kFewColumns;
  launch(few ? backward_kernel<1> : backward_kernel<kWarpSize>, grid_for(a.x.rows() * (few ? 1 : kWarpSize), kThreads),
         kThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
