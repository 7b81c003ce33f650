// 12 bytes an element forward, 12 backward, 3 and 2 FLOPs: bound by memory, so 16 bytes a thread and load where the
// addresses allow it.
#include "kernels/interpolate.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

template <int kWidth>
__global__ void interpolate_kernel(Interpolate a) {
  for_each_group<kWidth>(a.xt.rows(), a.xt.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto x0 = load_group<kWidth>(a.x0.row(i) + j), x1 = load_group<kWidth>(a.x1.row(i) + j);
    const float t = a.t.data[i], rest = 1.0f - t;
    Group<float, kWidth> xt;
    for (int k = 0; k < kWidth; ++k) xt[k] = rest * x0[k] + t * x1[k];
    store_group(a.xt.row(i) + j, xt);
  });
}

template <int kWidth>
__global__ void interpolate_backward_kernel(InterpolateBackward a) {
  for_each_group<kWidth>(a.dxt.rows(), a.dxt.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto dxt = load_group<kWidth>(a.dxt.row(i) + j);
    const float t = a.t.data[i], rest = 1.0f - t;
    Group<float, kWidth> dx0, dx1;
    for (int k = 0; k < kWidth; ++k) {
      dx0[k] = rest * dxt[k];
      dx1[k] = t * dxt[k];
    }
    if (a.dx0.data != nullptr) store_group(a.dx0.row(i) + j, dx0);
    if (a.dx1.data != nullptr) store_group(a.dx1.row(i) + j, dx1);
  });
}

}  // namespace

void interpolate(Stream& stream, const Interpolate& a) {
  const bool grouped = can_group(a.x0, a.x1, a.xt);
  launch(grouped ? interpolate_kernel<kGroup> : interpolate_kernel<1>,
         element_grid(a.xt.rows(), a.xt.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
}

void interpolate_backward(Stream& stream, const InterpolateBackward& a) {
  const bool grouped =
      can_group(a.dxt) && (a.dx0.data == nullptr || can_group(a.dx0)) && (a.dx1.data == nullptr || can_group(a.dx1));
  launch(grouped ? interpolate_backward_kernel<kGroup> : interpolate_backward_kernel<1>,
         element_grid(a.dxt.rows(), a.dxt.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
