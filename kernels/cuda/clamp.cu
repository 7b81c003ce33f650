// 8 bytes an element forward, 12 backward, two comparisons: bound by memory, so 16 bytes a thread and load where the
// addresses allow it.
#include "kernels/clamp.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

template <int kWidth>
__global__ void clamp_kernel(Clamp a) {
  for_each_group<kWidth>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto x = load_group<kWidth>(a.x.row(i) + j);
    Group<float, kWidth> y;
    for (int k = 0; k < kWidth; ++k) y[k] = x[k] < a.low ? a.low : x[k] > a.high ? a.high : x[k];
    store_group(a.y.row(i) + j, y);
  });
}

template <int kWidth>
__global__ void clamp_backward_kernel(ClampBackward a) {
  for_each_group<kWidth>(a.dx.rows(), a.dx.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto x = load_group<kWidth>(a.x.row(i) + j), dy = load_group<kWidth>(a.dy.row(i) + j);
    Group<float, kWidth> dx;
    for (int k = 0; k < kWidth; ++k) dx[k] = x[k] < a.low || x[k] > a.high ? 0.0f : dy[k];
    store_group(a.dx.row(i) + j, dx);
  });
}

}  // namespace

void clamp(Stream& stream, const Clamp& a) {
  const bool grouped = can_group(a.x, a.y);
  launch(grouped ? clamp_kernel<kGroup> : clamp_kernel<1>, element_grid(a.y.rows(), a.y.columns(), grouped),
         kElementThreads, 0, stream.cuda(), a);
}

void clamp_backward(Stream& stream, const ClampBackward& a) {
  const bool grouped = can_group(a.x, a.dy, a.dx);
  launch(grouped ? clamp_backward_kernel<kGroup> : clamp_backward_kernel<1>,
         element_grid(a.dx.rows(), a.dx.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
