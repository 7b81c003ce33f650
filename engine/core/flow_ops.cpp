#include "engine/core/flow_ops.h"

#include "kernels/affine_coupling.h"
#include "kernels/gru.h"
#include "kernels/select_columns.h"
#include "kernels/spectral_scale.h"
#include "kernels/spline_coupling.h"

namespace otnfm {
namespace {

/// Elements [begin, begin + count) of a vector.
View<const float> part_of(const Tensor& vector, std::int64_t begin, std::int64_t count) {
  return vector.flat().row_slice(begin, count);
}

void spectral_scale_rule(Tape& tape, const Node& node) {
  const SpectralScale forward = tape.arguments<SpectralScale>(node);
  const Tensor& weight = node.inputs[0];
  const Tensor dweight = tape.new_gradient(weight);
  tape.record(spectral_scale_backward, SpectralScaleBackward{.w = forward.w,
                                                             .u = forward.u,
                                                             .v = forward.v,
                                                             .sigma = forward.sigma,
                                                             .dy = tape.gradient(node.output).view(),
                                                             .dw = dweight.view(),
                                                             .target = forward.target});
  tape.add_gradient(weight, dweight);
}

void select_columns_rule(Tape& tape, const Node& node) {
  const Tensor dx = tape.new_gradient(node.inputs[0]);
  tape.record(select_columns_backward, SelectColumnsBackward{.dy = tape.gradient(node.output).view(),
                                                             .index = tape.arguments<SelectColumns>(node).index,
                                                             .dx = dx.view()});
  tape.add_gradient(node.inputs[0], dx);
}

/// The gradient of an output, without memory where none has arrived.
View<const float> arrived(const Tape& tape, const Tensor& output) {
  const Tensor gradient = output.defined() ? tape.gradient(output) : Tensor();
  return gradient.defined() ? View<const float>(gradient.view()) : View<const float>();
}
View<const float> arrived_flat(const Tape& tape, const Tensor& output) {
  const Tensor gradient = output.defined() ? tape.gradient(output) : Tensor();
  return gradient.defined() ? View<const float>(gradient.flat()) : View<const float>();
}

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

Tensor spectral_scale(Tape& tape, Tensor weight, const SpectralVectors& vectors, const SpectralMatrix& matrix, int k,
                      float target) {
  Tensor y = tape.make(weight.shape());
  tape.record(otnfm::spectral_scale, SpectralScale{.w = weight.view(),
                                                   .u = part_of(vectors.left, matrix.left, matrix.rows),
                                                   .v = part_of(vectors.right, matrix.right, matrix.columns),
                                                   .sigma = part_of(vectors.sigma, k, 1),
                                                   .y = y.view(),
                                                   .target = target});
  tape.differentiate({weight}, y, spectral_scale_rule);
  return y;
}

Tensor select_columns(Tape& tape, Tensor x, const View<const std::int64_t>& columns, Tensor t) {
  Tensor y = tape.make({x.rows(), columns.shape[0] + 1});
  tape.record(otnfm::select_columns, SelectColumns{.x = x.view(), .index = columns, .t = t.flat(), .y = y.view()});
  tape.differentiate({x}, y, select_columns_rule);
  return y;
}

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
