// 24 bytes a moved element forward, 44 backward: bound by memory. A row belongs to one thread where few columns move
// (in the plane), else to a warp; either sums its log-scales without a second launch.
#include "kernels/affine_coupling.h"

#include "kernels/device/affine_coupling.h"
#include "kernels/device/launch.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kFewColumns = 16;

/// kLanes: threads a row, 1 or a warp.
template <int kLanes>
__global__ void affine_coupling_kernel(AffineCoupling a) {
  const std::int64_t d = a.x.columns(), n = a.phi_scale.columns(), kept = d - n;
  const std::int64_t* moved = a.index.data + kept;
  const float direction = a.inverse ? -1.0f : 1.0f;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kLanes; i < a.x.rows();
       i += std::int64_t{gridDim.x} * (kThreads / kLanes)) {
    const float *x = a.x.row(i), *raw = a.raw.row(i), *phi_s = a.phi_scale.row(i), *phi_m = a.phi_shift.row(i);
    float* y = a.y.row(i);
    double sum = 0;
    for (std::int64_t j = lane; j < n; j += kLanes) {
      const AffineElement e = affine_element(raw[j], raw[n + j], phi_s[j], phi_m[j], a.bound, direction);
      y[moved[j]] = affine_map(e, x[moved[j]], a.inverse);
      sum += e.log_scale;
    }
    for (std::int64_t j = lane; j < kept; j += kLanes) y[a.index.data[j]] = x[a.index.data[j]];
    if (a.log_det.data == nullptr) continue;
    if constexpr (kLanes == kWarpSize) sum = warp_sum(sum);
    if (lane == 0) a.log_det.data[i] = static_cast<float>(sum);
  }
}

template <int kLanes>
__global__ void backward_kernel(AffineCouplingBackward a) {
  const std::int64_t d = a.x.columns(), n = a.phi_scale.columns(), kept = d - n;
  const std::int64_t* moved = a.index.data + kept;
  const float direction = a.inverse ? -1.0f : 1.0f;
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kLanes; i < a.x.rows();
       i += std::int64_t{gridDim.x} * (kThreads / kLanes)) {
    const float *x = a.x.row(i), *raw = a.raw.row(i), *phi_s = a.phi_scale.row(i), *phi_m = a.phi_shift.row(i);
    const float* dy = a.dy.data == nullptr ? nullptr : a.dy.row(i);
    const float dlog_det = a.dlog_det.data == nullptr ? 0.0f : a.dlog_det.data[i];
    float *dx = a.dx.row(i), *draw = a.draw.row(i);
    for (std::int64_t j = lane; j < n; j += kLanes) {
      const AffineElement e = affine_element(raw[j], raw[n + j], phi_s[j], phi_m[j], a.bound, direction);
      const AffineGradient g = affine_gradient(e, x[moved[j]], raw[j], raw[n + j], phi_s[j], phi_m[j], direction,
                                               a.inverse, dy ? dy[moved[j]] : 0.0f, dlog_det);
      dx[moved[j]] = g.dx;
      draw[j] = g.ds;
      draw[n + j] = g.dm;
      a.dphi_scale.row(i)[j] = g.dphi_s;
      a.dphi_shift.row(i)[j] = g.dphi_m;
    }
    for (std::int64_t j = lane; j < kept; j += kLanes) dx[a.index.data[j]] = dy ? dy[a.index.data[j]] : 0.0f;
  }
}

}  // namespace

void affine_coupling(Stream& stream, const AffineCoupling& a) {
  const bool few = a.phi_scale.columns() < kFewColumns;
  launch(few ? affine_coupling_kernel<1> : affine_coupling_kernel<kWarpSize>,
         grid_for(a.x.rows() * (few ? 1 : kWarpSize), kThreads), kThreads, 0, stream.cuda(), a);
}

void affine_coupling_backward(Stream& stream, const AffineCouplingBackward& a) {
  const bool few = a.phi_scale.columns() < kFewColumns;
  launch(few ? backward_kernel<1> : backward_kernel<kWarpSize>, grid_for(a.x.rows() * (few ? 1 : kWarpSize), kThreads),
         kThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
