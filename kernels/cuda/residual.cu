// 12 bytes an element forward, 12 backward and 8 more for the weights of phi, 2 FLOPs and a term of phi: bound by
// memory where phi is identity, linear or tanh. A grid-stride loop with neighbouring threads on neighbouring elements
// of a row; the weights' gradient as in device/time_gradient.h.
#include "kernels/residual.h"

#include "kernels/device/launch.h"
#include "kernels/device/time_gradient.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;

template <TimeFunctionKind kind>
__global__ void residual_kernel(Residual a) {
  const std::int64_t d = a.x.columns(), n = a.x.rows() * d;
  for (std::int64_t e = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; e < n;
       e += std::int64_t{kThreads} * gridDim.x) {
    const std::int64_t i = e / d, j = e - i * d;
    const float phi = time_function_value<kind>(a.w.data, j, d, a.w.shape[0], a.t.data[i]);
    a.y.row(i)[j] = a.x.row(i)[j] + phi * a.g.row(i)[j];
  }
}

template <TimeFunctionKind kind>
__global__ void residual_backward_kernel(ResidualBackward a) {
  const std::int64_t d = a.dy.columns(), n = a.dy.rows() * d;
  for (std::int64_t e = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; e < n;
       e += std::int64_t{kThreads} * gridDim.x) {
    const std::int64_t i = e / d, j = e - i * d;
    a.dg.row(i)[j] = a.dy.row(i)[j] * time_function_value<kind>(a.w.data, j, d, a.w.shape[0], a.t.data[i]);
  }
}

struct Product {
  View<const float> dy, g;
  __device__ float operator()(std::int64_t i, std::int64_t j) const { return dy.row(i)[j] * g.row(i)[j]; }
};

}  // namespace

void residual(Stream& stream, const Residual& a) {
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    launch(residual_kernel<kind>, grid_for(a.x.size(), kThreads), kThreads, 0, stream.cuda(), a);
  });
}

void residual_backward(Stream& stream, const ResidualBackward& a) {
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    launch(residual_backward_kernel<kind>, grid_for(a.dy.size(), kThreads), kThreads, 0, stream.cuda(), a);
    if constexpr (kind != TimeFunctionKind::identity)
      if (a.dw.data) launch_time_gradient<kind>(stream, a.t, a.w, Product{a.dy, a.g}, a.dw);
  });
}

}  // namespace otnfm::cuda
