#include "engine/core/ops/flow_ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/spline_coupling.h"

namespace otnfm {
namespace {

void spline_coupling_rule(Tape& tape, const Node& node) {
  const SplineCoupling forward = tape.arguments<SplineCoupling>(node);
  const Tensor &x = node.inputs[0], &raw = node.inputs[1], &phi = node.inputs[2];
  const Tensor dx = tape.make(x.shape()), draw = tape.make(raw.shape()), dphi = tape.make(phi.shape());
  tape.record(spline_coupling_backward, SplineCouplingBackward{.x = forward.x,
                                                               .raw = forward.raw,
                                                               .phi = forward.phi,
                                                               .index = forward.index,
                                                               .dy = arrived(tape, node.output),
                                                               .dlog_det = arrived_flat(tape, node.second_output),
                                                               .dx = dx.view(),
                                                               .draw = draw.view(),
                                                               .dphi = dphi.view(),
                                                               .shape = forward.shape,
                                                               .inverse = forward.inverse});
  tape.add_gradient(x, dx);
  tape.add_gradient(raw, draw);
  tape.add_gradient(phi, dphi);
}

}  // namespace

Coupled spline_coupling(Tape& tape, const SplineCouplingInputs& in) {
  const Coupled result{.y = tape.make(in.x.shape()),
                       .log_det = in.with_log_det ? tape.make({in.x.rows(), 1}) : Tensor()};
  tape.record(otnfm::spline_coupling, SplineCoupling{.x = in.x.view(),
                                                     .raw = in.raw.view(),
                                                     .phi = in.phi.view(),
                                                     .index = in.index,
                                                     .y = result.y.view(),
                                                     .log_det = in.with_log_det ? result.log_det.flat() : View<float>(),
                                                     .shape = in.shape,
                                                     .inverse = in.inverse});
  tape.differentiate({in.x, in.raw, in.phi}, result.y, spline_coupling_rule, result.log_det);
  return result;
}

}  // namespace otnfm
