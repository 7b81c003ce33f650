#include "engine/core/ops.h"

#include "kernels/bias_activation.h"
#include "kernels/concat.h"
#include "kernels/copy.h"
#include "kernels/elementwise.h"
#include "kernels/gather.h"
#include "kernels/host/packed_linear.h"
#include "kernels/interpolate.h"
#include "kernels/matmul.h"
#include "kernels/residual.h"
#include "kernels/squared_error.h"
#include "kernels/time_function.h"
#include "kernels/time_weight.h"

namespace otnfm {
namespace {

// Element-wise kernels take matrices; a tensor of any rank is one row of it.
void require_same_shape(const char* op, const Tensor& a, const Tensor& b) {
  if (a.shape() == b.shape()) return;
  const auto text = [](const Tensor& tensor) {
    std::string s = "[";
    for (int axis = 0; axis < tensor.rank(); ++axis) s += (axis ? ", " : "") + std::to_string(tensor.size(axis));
    return s + "]";
  };
  throw InputError(std::string(op) + " of tensors of different shapes " + text(a) + " and " + text(b));
}

// --- Matrix products -------------------------------------------------------------------------------------------------

struct Product {
  bool transpose_a = false;
  bool transpose_b = false;
  Tensor bias = {};
  Activation activation = Activation::identity;
};

View<const float> view_or_none(const Tensor& tensor) {
  return tensor.defined() ? View<const float>(tensor.view()) : View<const float>();
}

void record_product(Tape& tape, const Tensor& a, const Tensor& b, const Tensor& c, const Product& how,
                    MatmulPrecision precision) {
  tape.record(matmul, Matmul{.a = a.view(),
                             .b = b.view(),
                             .c = c.view(),
                             .transpose_a = how.transpose_a,
                             .transpose_b = how.transpose_b,
                             .precision = precision,
                             .bias = view_or_none(how.bias),
                             .activation = how.activation});
}

void record_product_bfloat16(Tape& tape, const Tensor& a, const Tensor& b, const Tensor& c, const Product& how) {
  tape.record(matmul_bfloat16, MatmulBfloat16{.a = a.view<bfloat16>(),
                                              .b = b.view<bfloat16>(),
                                              .c = c.view(),
                                              .transpose_a = how.transpose_a,
                                              .transpose_b = how.transpose_b,
                                              .bias = view_or_none(how.bias),
                                              .activation = how.activation});
}

void record_packed(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y,
                   Activation activation, Precision precision) {
  PackedLinear call{.x = x.view(), .bias = view_or_none(bias), .y = y.view(), .activation = activation};
  if (precision == Precision::bfloat16)
    call.panels_bfloat16 = tape.packed_weights()->bfloat16s(weight.view());
  else
    call.panels = tape.packed_weights()->float32(weight.view());
  tape.record(packed_linear, call);
}

Tensor rounded(Tape& tape, const Tensor& x) {
  Tensor y = tape.make(x.shape(), DType::bfloat16);
  tape.record(cast_to_bfloat16, CastToBfloat16{.x = x.view(), .y = y.view<bfloat16>()});
  return y;
}

// z = x weight^T, so dweight = dz^T x and dx = dz weight.
void product_rule(Tape& tape, const Node& node) {
  const Tensor &x = node.inputs[0], &weight = node.inputs[1], dz = tape.gradient(node.output);
  const MatmulPrecision precision = tape.arguments<Matmul>(node).precision;
  if (tape.wants_gradient(weight)) {
    const Tensor dweight = tape.new_gradient(weight);
    record_product(tape, dz, x, dweight, {.transpose_a = true}, precision);
    tape.add_gradient(weight, dweight);
  }
  if (tape.wants_gradient(x)) {
    const Tensor dx = tape.new_gradient(x);
    record_product(tape, dz, weight, dx, {}, precision);
    tape.add_gradient(x, dx);
  }
}

// The same from the operands that the forward rounded (inputs 2 and 3); rounding itself passes the gradient through.
void product_bfloat16_rule(Tape& tape, const Node& node) {
  const Tensor &x = node.inputs[0], &weight = node.inputs[1], dz = rounded(tape, tape.gradient(node.output));
  if (tape.wants_gradient(weight)) {
    const Tensor dweight = tape.new_gradient(weight);
    record_product_bfloat16(tape, dz, node.inputs[2], dweight, {.transpose_a = true});
    tape.add_gradient(weight, dweight);
  }
  if (tape.wants_gradient(x)) {
    const Tensor dx = tape.new_gradient(x);
    record_product_bfloat16(tape, dz, node.inputs[3], dx, {});
    tape.add_gradient(x, dx);
  }
}

void bias_activation_rule(Tape& tape, const Node& node) {
  const BiasActivation forward = tape.arguments<BiasActivation>(node);
  const Tensor &z = node.inputs[0], &bias = node.inputs[1], dy = tape.gradient(node.output);
  const Tensor dz = tape.new_gradient(z);
  const bool wants_bias = bias.defined() && tape.wants_gradient(bias);
  const Tensor dbias = wants_bias ? tape.new_gradient(bias) : Tensor();
  tape.record(bias_activation_backward, BiasActivationBackward{.z = forward.z,
                                                               .bias = forward.bias,
                                                               .dy = dy.view(),
                                                               .dz = dz.view(),
                                                               .dbias = wants_bias ? dbias.view() : View<float>(),
                                                               .activation = forward.activation});
  tape.add_gradient(z, dz);
  if (wants_bias) tape.add_gradient(bias, dbias);
}

void concat_rule(Tape& tape, const Node& node) {
  const Tensor &a = node.inputs[0], &b = node.inputs[1], dy = tape.gradient(node.output);
  const Tensor da = tape.wants_gradient(a) ? tape.new_gradient(a) : Tensor();
  const Tensor db = tape.wants_gradient(b) ? tape.new_gradient(b) : Tensor();
  // A part that is not wanted has no memory, but its width counts.
  const auto part = [](const Tensor& gradient, const Tensor& of) {
    return gradient.defined() ? gradient.view() : View<float>(nullptr, {of.rows(), of.columns()});
  };
  tape.record(split_columns, SplitColumns{.y = dy.view(), .a = part(da, a), .b = part(db, b)});
  if (da.defined()) tape.add_gradient(a, da);
  if (db.defined()) tape.add_gradient(b, db);
}

void add_rule(Tape& tape, const Node& node) {
  tape.add_gradient(node.inputs[0], tape.gradient(node.output));
  tape.add_gradient(node.inputs[1], tape.gradient(node.output));
}

void multiply_rule(Tape& tape, const Node& node) {
  const Tensor &a = node.inputs[0], &b = node.inputs[1];
  const Tensor da = tape.make(a.shape()), db = tape.make(b.shape());
  tape.record(multiply_backward, MultiplyBackward{.a = a.as_matrix(),
                                                  .b = b.as_matrix(),
                                                  .dy = tape.gradient(node.output).as_matrix(),
                                                  .da = da.as_matrix(),
                                                  .db = db.as_matrix()});
  tape.add_gradient(a, da);
  tape.add_gradient(b, db);
}

void scale_rule(Tape& tape, const Node& node) {
  const Tensor dx = tape.new_gradient(node.inputs[0]);
  tape.record(otnfm::scale, Scale{.x = tape.gradient(node.output).as_matrix(),
                                  .y = dx.as_matrix(),
                                  .factor = tape.arguments<Scale>(node).factor});
  tape.add_gradient(node.inputs[0], dx);
}

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

void squared_error_rule(Tape& tape, const Node& node) {
  const SquaredError forward = tape.arguments<SquaredError>(node);
  const Tensor& prediction = node.inputs[0];
  const Tensor dprediction = tape.new_gradient(prediction);
  tape.record(squared_error_backward, SquaredErrorBackward{.prediction = forward.prediction,
                                                           .target = forward.target,
                                                           .weight = forward.weight,
                                                           .dloss = tape.gradient(node.output).view(),
                                                           .dprediction = dprediction.view()});
  tape.add_gradient(prediction, dprediction);
}

}  // namespace

Tensor linear(Tape& tape, Tensor x, Tensor weight, Tensor bias, Activation activation, Precision precision) {
  Tensor z = tape.make({x.rows(), weight.rows()});
  if (tape.packed_weights() != nullptr && tape.is_given(weight)) {
    record_packed(tape, x, weight, bias, z, activation, precision);
    return z;
  }
  // Without a backward pass nothing but the activation is needed: the product's epilogue makes it.
  const bool fused = !tape.training();
  Product how{.transpose_b = true};
  if (fused) how.bias = bias, how.activation = activation;
  if (precision == Precision::bfloat16) {
    const Tensor rounded_x = rounded(tape, x), rounded_weight = rounded(tape, weight);
    record_product_bfloat16(tape, rounded_x, rounded_weight, z, how);
    tape.differentiate({x, weight, rounded_x, rounded_weight}, z, product_bfloat16_rule);
  } else {
    record_product(tape, x, weight, z, how,
                   precision == Precision::tf32 ? MatmulPrecision::tf32 : MatmulPrecision::float32);
    tape.differentiate({x, weight}, z, product_rule);
  }
  if (fused || (!bias.defined() && activation == Activation::identity)) return z;
  Tensor y = tape.make(z.shape());
  tape.record(bias_activation,
              BiasActivation{.z = z.view(), .bias = view_or_none(bias), .y = y.view(), .activation = activation});
  tape.differentiate({z, bias}, y, bias_activation_rule);
  return y;
}

Tensor concat(Tape& tape, Tensor a, Tensor b) {
  Tensor y = tape.make({a.rows(), a.columns() + b.columns()});
  tape.record(concat_columns, ConcatColumns{.a = a.view(), .b = b.view(), .y = y.view()});
  tape.differentiate({a, b}, y, concat_rule);
  return y;
}

Tensor add(Tape& tape, Tensor a, Tensor b) {
  require_same_shape("add", a, b);
  Tensor y = tape.make(a.shape());
  tape.record(otnfm::add, Add{.a = a.as_matrix(), .b = b.as_matrix(), .y = y.as_matrix()});
  tape.differentiate({a, b}, y, add_rule);
  return y;
}

Tensor multiply(Tape& tape, Tensor a, Tensor b) {
  require_same_shape("multiply", a, b);
  Tensor y = tape.make(a.shape());
  tape.record(otnfm::multiply, Multiply{.a = a.as_matrix(), .b = b.as_matrix(), .y = y.as_matrix()});
  tape.differentiate({a, b}, y, multiply_rule);
  return y;
}

Tensor scale(Tape& tape, Tensor x, float factor) {
  Tensor y = tape.make(x.shape());
  tape.record(otnfm::scale, Scale{.x = x.as_matrix(), .y = y.as_matrix(), .factor = factor});
  tape.differentiate({x}, y, scale_rule);
  return y;
}

Tensor residual(Tape& tape, Tensor x, TimeFunctionKind kind, Tensor t, Tensor w, Tensor g) {
  Tensor y = tape.make(x.shape());
  tape.record(otnfm::residual,
              Residual{.t = t.flat(), .w = view_or_none(w), .x = x.view(), .g = g.view(), .y = y.view(), .kind = kind});
  tape.differentiate({x, g, w}, y, residual_rule);
  return y;
}

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

Tensor interpolate(Tape& tape, Tensor x0, Tensor x1, Tensor t) {
  require_same_shape("interpolate", x0, x1);
  Tensor xt = tape.make(x0.shape());
  tape.record(otnfm::interpolate, Interpolate{.x0 = x0.view(), .x1 = x1.view(), .t = t.flat(), .xt = xt.view()});
  tape.differentiate({x0, x1}, xt, interpolate_rule);
  return xt;
}

Tensor squared_error(Tape& tape, Tensor prediction, Tensor target, Tensor weight) {
  require_same_shape("squared_error", prediction, target);
  Tensor loss = tape.make({1});
  tape.record(otnfm::squared_error,
              SquaredError{.prediction = prediction.view(),
                           .target = target.view(),
                           .weight = weight.defined() ? View<const float>(weight.flat()) : View<const float>(),
                           .loss = loss.view()});
  tape.differentiate({prediction}, loss, squared_error_rule);
  return loss;
}

Tensor uniform(Tape& tape, const Shape& shape, const RandomKey& key, float low, float high) {
  Tensor y = tape.make(shape);
  tape.record(otnfm::uniform, Uniform{.y = y.view(), .key = key, .low = low, .high = high});
  return y;
}

Tensor normal(Tape& tape, const Shape& shape, const RandomKey& key, float mean, float standard_deviation) {
  Tensor y = tape.make(shape);
  tape.record(otnfm::normal, Normal{.y = y.view(), .key = key, .mean = mean, .standard_deviation = standard_deviation});
  return y;
}

Tensor random_rows(Tape& tape, Tensor x, std::int64_t B, const RandomKey& key) {
  Tensor index = tape.make({B}, DType::int64), y = tape.make({B, x.columns()});
  tape.record(random_indices, RandomIndices{.index = index.view<std::int64_t>(), .key = key, .bound = x.rows()});
  tape.record(gather_rows, GatherRows{.x = x.view(), .index = index.view<std::int64_t>(), .y = y.view()});
  return y;
}

}  // namespace otnfm
