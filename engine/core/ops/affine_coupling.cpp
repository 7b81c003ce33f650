#include "engine/core/ops/flow_ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/affine_coupling.h"

namespace otnfm {
namespace {

void affine_coupling_rule(Tape& tape, const Node& node) {
  const AffineCoupling forward = tape.arguments<AffineCoupling>(node);
  const Tensor &x = node.inputs[0], &raw = node.inputs[1], &phi_scale = node.inputs[2], &phi_shift = node.inputs[3];
  const Tensor dx = tape.make(x.shape()), draw = tape.make(raw.shape()), dphi_scale = tape.make(phi_scale.shape()),
               dphi_shift = tape.make(phi_shift.shape());
  tape.record(affine_coupling_backward, AffineCouplingBackward{.x = forward.x,
                                                               .raw = forward.raw,
                                                               .phi_scale = forward.phi_scale,
                                                               .phi_shift = forward.phi_shift,
                                                               .index = forward.index,
                                                               .dy = arrived(tape, node.output),
                                                               .dlog_det = arrived_flat(tape, node.second_output),
                                                               .dx = dx.view(),
                                                               .draw = draw.view(),
                                                               .dphi_scale = dphi_scale.view(),
                                                               .dphi_shift = dphi_shift.view(),
                                                               .bound = forward.bound,
                                                               .inverse = forward.inverse});
  tape.add_gradient(x, dx);
  tape.add_gradient(raw, draw);
  tape.add_gradient(phi_scale, dphi_scale);
  tape.add_gradient(phi_shift, dphi_shift);
}

}  // namespace

Coupled affine_coupling(Tape& tape, const AffineCouplingInputs& in) {
  const Coupled result{.y = tape.make(in.x.shape()),
                       .log_det = in.with_log_det ? tape.make({in.x.rows(), 1}) : Tensor()};
  tape.record(otnfm::affine_coupling, AffineCoupling{.x = in.x.view(),
                                                     .raw = in.raw.view(),
                                                     .phi_scale = in.phi_scale.view(),
                                                     .phi_shift = in.phi_shift.view(),
                                                     .index = in.index,
                                                     .y = result.y.view(),
                                                     .log_det = in.with_log_det ? result.log_det.flat() : View<float>(),
                                                     .bound = in.bound,
                                                     .inverse = in.inverse});
  tape.differentiate({in.x, in.raw, in.phi_scale, in.phi_shift}, result.y, affine_coupling_rule, result.log_det);
  return result;
}

}  // namespace otnfm
