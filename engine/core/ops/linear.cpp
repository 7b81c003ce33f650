#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/bias_activation.h"
#include "kernels/host/packed_linear.h"
#include "kernels/matmul.h"

namespace otnfm {
namespace {

struct Product {
  bool transpose_a = false;
  bool transpose_b = false;
  Precision precision = Precision::float32;  ///< of float32 operands
  Tensor bias = {};
  Activation activation = Activation::identity;
};

void record_product(Tape& tape, const Tensor& a, const Tensor& b, const Tensor& c, const Product& how) {
  tape.record(matmul, Matmul{.a = a.stored(),
                             .b = b.stored(),
                             .c = c.stored(),
                             .transpose_a = how.transpose_a,
                             .transpose_b = how.transpose_b,
                             .precision = how.precision,
                             .bias = view_or_none(how.bias),
                             .activation = how.activation});
}

void record_packed(Tape& tape, const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y,
                   Activation activation, Precision precision) {
  PackedLinear call{.x = stored_as(tape, DType::float32, x).view(),
                    .bias = view_or_none(bias),
                    .y = y.view(),
                    .activation = activation};
  if (precision == Precision::bfloat16)
    call.panels_bfloat16 = tape.packed_weights()->bfloat16s(weight.view());
  else
    call.panels = tape.packed_weights()->float32(weight.view());
  tape.record(packed_linear, call);
}

// z = x weight^T, so dweight = dz^T x and dx = dz weight, of the operands as the forward had them (inputs 2 and 3);
// rounding itself passes the gradient through.
void product_rule(Tape& tape, const Node& node) {
  const Tensor &x = node.inputs[0], &weight = node.inputs[1], &left = node.inputs[2], &right = node.inputs[3];
  const Tensor dz = stored_as(tape, left.dtype(), tape.gradient(node.output));
  const Precision precision = tape.arguments<Matmul>(node).precision;
  if (tape.wants_gradient(weight)) {
    const Tensor dweight = tape.new_gradient(weight);
    record_product(tape, dz, left, dweight, {.transpose_a = true, .precision = precision});
    tape.add_gradient(weight, dweight);
  }
  if (tape.wants_gradient(x)) {
    const Tensor dx = tape.new_gradient(x);
    record_product(tape, dz, right, dx, {.precision = precision});
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
                                                               .dy = dy.as_matrix(),
                                                               .dz = dz.as_matrix(),
                                                               .dbias = wants_bias ? dbias.view() : View<float>(),
                                                               .activation = forward.activation});
  tape.add_gradient(z, dz);
  if (wants_bias) tape.add_gradient(bias, dbias);
}

}  // namespace

Tensor linear(Tape& tape, Tensor x, Tensor weight, Tensor bias, const LinearOptions& how) {
  if (tape.packed_weights() != nullptr && tape.is_given(weight)) {
    const Tensor y = tape.make({x.rows(), weight.rows()});
    record_packed(tape, x, weight, bias, y, how.activation, how.precision);
    return y;
  }
  const bool rounds = how.precision == Precision::bfloat16;
  const Tensor z = tape.make({x.rows(), weight.rows()}, rounds ? how.stored : DType::float32);
  // Without a backward pass nothing but the activation is needed: the product's epilogue makes it.
  const bool fused = !tape.training();
  Product product{.transpose_b = true, .precision = rounds ? Precision::float32 : how.precision};
  if (fused) product.bias = bias, product.activation = how.activation;
  const DType operands = rounds ? DType::bfloat16 : DType::float32;
  const Tensor copy_of_weight = rounds ? tape.working_copy(weight) : Tensor();
  const Tensor left = stored_as(tape, operands, x);
  const Tensor right = copy_of_weight.defined() ? copy_of_weight : stored_as(tape, operands, weight);
  record_product(tape, left, right, z, product);
  tape.differentiate({x, weight, left, right}, z, product_rule);
  if (fused || (!bias.defined() && how.activation == Activation::identity)) return z;
  const Tensor y = tape.make(z.shape(), z.dtype());
  tape.record(
      bias_activation,
      BiasActivation{.z = z.stored(), .bias = view_or_none(bias), .y = y.stored(), .activation = how.activation});
  tape.differentiate({z, bias}, y, bias_activation_rule);
  return y;
}

Tensor activation(Tape& tape, Tensor x, Activation kind) {
  const Tensor y = tape.make(x.shape(), x.dtype());
  tape.record(bias_activation, BiasActivation{.z = x.as_matrix(), .bias = {}, .y = y.as_matrix(), .activation = kind});
  tape.differentiate({x, {}}, y, bias_activation_rule);
  return y;
}

}  // namespace otnfm
