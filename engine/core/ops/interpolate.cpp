#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/interpolate.h"

namespace otnfm {
namespace {

void interpolate_rule(Tape& tape, const Node& node) {
  const Tensor &x0 = node.inputs[0], &x1 = node.inputs[1];
  const Tensor dx0 = tape.wants_gradient(x0) ? tape.new_gradient(x0) : Tensor();
  const Tensor dx1 = tape.wants_gradient(x1) ? tape.new_gradient(x1) : Tensor();
  tape.record(interpolate_backward, InterpolateBackward{.t = tape.arguments<Interpolate>(node).t,
                                                        .dxt = tape.gradient(node.output).view(),
                                                        .dx0 = dx0.defined() ? dx0.view() : View<float>(),
                                                        .dx1 = dx1.defined() ? dx1.view() : View<float>()});
  if (dx0.defined()) tape.add_gradient(x0, dx0);
  if (dx1.defined()) tape.add_gradient(x1, dx1);
}

}  // namespace

Tensor interpolate(Tape& tape, Tensor x0, Tensor x1, Tensor t) {
  require_same_shape("interpolate", x0, x1);
  Tensor xt = tape.make(x0.shape());
  tape.record(otnfm::interpolate, Interpolate{.x0 = x0.view(), .x1 = x1.view(), .t = t.flat(), .xt = xt.view()});
  tape.differentiate({x0, x1}, xt, interpolate_rule);
  return xt;
}

}  // namespace otnfm
