#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/residual.h"

namespace otnfm {
namespace {

void residual_rule(Tape& tape, const Node& node) {
  const Residual forward = tape.arguments<Residual>(node);
  const Tensor &x = node.inputs[0], &g = node.inputs[1], dy = tape.gradient(node.output), dg = tape.make(g.shape());
  const Tensor &w = node.inputs[2], dw = tape.wants_gradient(w) ? tape.new_gradient(w) : Tensor();
  tape.record(residual_backward, ResidualBackward{.t = forward.t,
                                                  .w = forward.w,
                                                  .g = forward.g,
                                                  .dy = dy.view(),
                                                  .dg = dg.view(),
                                                  .dw = dw.defined() ? dw.view() : View<float>(),
                                                  .kind = forward.kind});
  tape.add_gradient(x, dy);
  tape.add_gradient(g, dg);
  if (dw.defined()) tape.add_gradient(w, dw);
}

}  // namespace

Tensor residual(Tape& tape, Tensor x, TimeFunctionKind kind, Tensor t, Tensor w, Tensor g) {
  Tensor y = tape.make(x.shape());
  tape.record(otnfm::residual,
              Residual{.t = t.flat(), .w = view_or_none(w), .x = x.view(), .g = g.view(), .y = y.view(), .kind = kind});
  tape.differentiate({x, g, w}, y, residual_rule);
  return y;
}

}  // namespace otnfm
