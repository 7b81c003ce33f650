#include "engine/core/ops/flow_ops.h"

#include "kernels/gru.h"

namespace otnfm {
namespace {

void gru_reset_rule(Tape& tape, const Node& node) {
  const GruReset forward = tape.arguments<GruReset>(node);
  const Tensor &x = node.inputs[0], &r = node.inputs[1];
  const Tensor dx = tape.make(x.shape()), dr = r.defined() ? tape.make(r.shape()) : Tensor();
  tape.record(gru_reset_backward, GruResetBackward{.x = forward.x,
                                                   .r = forward.r,
                                                   .dy = tape.gradient(node.output).view(),
                                                   .dx = dx.view(),
                                                   .dr = dr.defined() ? dr.view() : View<float>(),
                                                   .box = forward.box,
                                                   .beta = forward.beta});
  tape.add_gradient(x, dx);
  if (r.defined()) tape.add_gradient(r, dr);
}

void gru_gate_rule(Tape& tape, const Node& node) {
  const GruGate forward = tape.arguments<GruGate>(node);
  const Tensor &x = node.inputs[0], &phi = node.inputs[1], &z = node.inputs[2], &u = node.inputs[3];
  const Tensor dx = tape.make(x.shape()), dphi = tape.make(phi.shape()), dz = tape.make(z.shape()),
               du = tape.make(u.shape());
  tape.record(gru_gate_backward, GruGateBackward{.x = forward.x,
                                                 .phi = forward.phi,
                                                 .z = forward.z,
                                                 .u = forward.u,
                                                 .dy = tape.gradient(node.output).view(),
                                                 .dx = dx.view(),
                                                 .dphi = dphi.view(),
                                                 .dz = dz.view(),
                                                 .du = du.view(),
                                                 .box = forward.box,
                                                 .alpha = forward.alpha});
  tape.add_gradient(x, dx);
  tape.add_gradient(phi, dphi);
  tape.add_gradient(z, dz);
  tape.add_gradient(u, du);
}

}  // namespace

Tensor gru_reset(Tape& tape, Tensor x, Tensor r, float box, float beta) {
  Tensor y = tape.make(x.shape());
  tape.record(otnfm::gru_reset, GruReset{.x = x.view(),
                                         .r = r.defined() ? View<const float>(r.view()) : View<const float>(),
                                         .y = y.view(),
                                         .box = box,
                                         .beta = beta});
  tape.differentiate({x, r}, y, gru_reset_rule);
  return y;
}

Tensor gru_gate(Tape& tape, Tensor x, Tensor phi, Tensor z, Tensor u, float box, float alpha) {
  Tensor y = tape.make(x.shape());
  tape.record(
      otnfm::gru_gate,
      GruGate{
          .x = x.view(), .phi = phi.view(), .z = z.view(), .u = u.view(), .y = y.view(), .box = box, .alpha = alpha});
  tape.differentiate({x, phi, z, u}, y, gru_gate_rule);
  return y;
}

}  // namespace otnfm
