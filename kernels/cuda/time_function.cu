// Forward 4 bytes an element, backward 4, and one activation a term. Forward: a thread an element. Backward: see
// device/time_gradient.h.
#include "kernels/time_function.h"

#include "kernels/device/launch.h"
#include "kernels/device/time_gradient.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;

template <TimeFunctionKind kind>
__global__ void time_function_kernel(TimeFunction a) {
  const std::int64_t d = a.phi.columns(), n = a.phi.rows() * d;
  for (std::int64_t e = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; e < n;
       e += std::int64_t{kThreads} * gridDim.x) {
    const std::int64_t i = e / d, j = e - i * d;
    a.phi.row(i)[j] = time_function_value<kind>(a.w.data, j, d, a.w.shape[0], a.t.data[i]);
  }
}

struct Given {
  View<const float> dphi;
  __device__ float operator()(std::int64_t i, std::int64_t j) const { return dphi.row(i)[j]; }
};

}  // namespace

void time_function(Stream& stream, const TimeFunction& a) {
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    launch(time_function_kernel<kind>, grid_for(a.phi.size(), kThreads), kThreads, 0, stream.cuda(), a);
  });
}

void time_function_backward(Stream& stream, const TimeFunctionBackward& a) {
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    if constexpr (kind != TimeFunctionKind::identity) launch_time_gradient<kind>(stream, a.t, a.w, Given{a.dphi}, a.dw);
  });
}

}  // namespace otnfm::cuda
