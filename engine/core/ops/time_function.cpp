#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/time_function.h"
#include "kernels/time_weight.h"

namespace otnfm {
namespace {

void time_function_rule(Tape& tape, const Node& node) {
  const TimeFunction forward = tape.arguments<TimeFunction>(node);
  const Tensor& w = node.inputs[0];
  const Tensor dw = tape.new_gradient(w);
  tape.record(time_function_backward, TimeFunctionBackward{.t = forward.t,
                                                           .w = forward.w,
                                                           .dphi = tape.gradient(node.output).view(),
                                                           .dw = dw.view(),
                                                           .kind = forward.kind});
  tape.add_gradient(w, dw);
}

}  // namespace

Tensor time_function(Tape& tape, TimeFunctionKind kind, Tensor t, Tensor w, std::int64_t d) {
  Tensor phi = tape.make({t.rows(), d});
  tape.record(otnfm::time_function, TimeFunction{.t = t.flat(), .w = view_or_none(w), .phi = phi.view(), .kind = kind});
  if (w.defined()) tape.differentiate({w}, phi, time_function_rule);
  return phi;
}

Tensor time_weight(Tape& tape, Tensor t, float lowest) {
  Tensor weight = tape.make(t.shape());
  tape.record(otnfm::time_weight, TimeWeight{.t = t.flat(), .weight = weight.flat(), .lowest = lowest});
  return weight;
}

}  // namespace otnfm
