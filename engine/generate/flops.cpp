#include "engine/generate/flops.h"

#include "kernels/attention.h"
#include "kernels/conv2d.h"
#include "kernels/matmul.h"
#include "kernels/resnet_flow.h"

namespace otnfm {

double flops_per_evaluation(Flow& flow, bool of_velocity) {
  Tape tape(flow.parameters().device(), {.training = false});
  const Tensor t = tape.make({1, 1}), x = tape.make({1, flow.dimension()});
  if (of_velocity)
    flow.velocity(tape, t, x);
  else
    flow.forward(tape, t, x);
  double flops = 0;
  tape.for_each_call<Matmul>([&](const Matmul& a) {
    flops += 2.0 * static_cast<double>(a.c.size()) *
             static_cast<double>(a.transpose_a ? a.a.shape[a.a.rank - 2] : a.a.shape[a.a.rank - 1]);
  });
  tape.for_each_call<Conv2d>([&](const Conv2d& a) {
    const std::int64_t products = a.weight.size() / a.weight.shape[0];  // of a number of the result
    flops += 2.0 * static_cast<double>(a.y.size()) * static_cast<double>(products);
  });
  tape.for_each_call<Attention>(
      [&](const Attention& a) { flops += 4.0 * static_cast<double>(a.y.size()) * static_cast<double>(a.y.shape[1]); });
  tape.for_each_call<ResNetFlowForward>(
      [&](const ResNetFlowForward& a) { flops += 2.0 * static_cast<double>(a.shape.weight_count()); });
  return flops;
}

}  // namespace otnfm
