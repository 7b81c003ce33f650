#include "kernels/clamp.h"

#include "engine/core/ops.h"

namespace otnfm {
namespace {

void clamp_rule(Tape& tape, const Node& node) {
  const Clamp forward = tape.arguments<Clamp>(node);
  const Tensor dx = tape.new_gradient(node.inputs[0]);
  tape.record(clamp_backward, ClampBackward{.x = forward.x,
                                            .dy = tape.gradient(node.output).view(),
                                            .dx = dx.view(),
                                            .low = forward.low,
                                            .high = forward.high});
  tape.add_gradient(node.inputs[0], dx);
}

}  // namespace

Tensor clamp(Tape& tape, Tensor x, float low, float high) {
  Tensor y = tape.make(x.shape());
  tape.record(otnfm::clamp, Clamp{.x = x.view(), .y = y.view(), .low = low, .high = high});
  tape.differentiate({x}, y, clamp_rule);
  return y;
}

}  // namespace otnfm
