// 8 bytes and a division an element: bound by the launch.
#include "kernels/time_weight.h"

#include "kernels/device/launch.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void time_weight_kernel(TimeWeight a) {
  const std::int64_t i = blockIdx.x * std::int64_t{kThreads} + threadIdx.x;
  if (i >= a.t.size()) return;
  const float t = a.t.data[i] > a.lowest ? a.t.data[i] : a.lowest;
  a.weight.data[i] = 1.0f / (t * t);
}

}  // namespace

void time_weight(Stream& stream, const TimeWeight& a) {
  if (a.t.size() == 0) return;
  launch(time_weight_kernel, static_cast<int>((a.t.size() + kThreads - 1) / kThreads), kThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
