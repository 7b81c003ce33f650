#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/conv2d.h"

namespace otnfm {
namespace {

// The operands are those that the forward had: they are in its arguments.
void conv2d_rule(Tape& tape, const Node& node) {
  const Conv2d forward = tape.arguments<Conv2d>(node);
  const Tensor &x = node.inputs[0], &weight = node.inputs[1], &bias = node.inputs[2], &added = node.inputs[3];
  const Tensor dy = tape.gradient(node.output), rounded = stored_as(tape, forward.x.dtype, dy);
  if (tape.wants_gradient(weight)) {
    const bool wants_bias = bias.defined() && tape.wants_gradient(bias);
    const Tensor dweight = tape.new_gradient(weight), dbias = wants_bias ? tape.new_gradient(bias) : Tensor();
    tape.record(conv2d_backward_weight, Conv2dBackwardWeight{.x = forward.x,
                                                             .dy = rounded.stored(),
                                                             .dweight = dweight.view(),
                                                             .dbias = wants_bias ? dbias.view() : View<float>(),
                                                             .stride = forward.stride});
    tape.add_gradient(weight, dweight);
    if (wants_bias) tape.add_gradient(bias, dbias);
  }
  if (tape.wants_gradient(x)) {
    const bool alike = x.dtype() == forward.x.dtype;
    const Tensor dx = alike ? tape.new_gradient(x) : tape.make(x.shape(), forward.x.dtype);
    tape.record(conv2d_backward_data,
                Conv2dBackwardData{
                    .dy = rounded.stored(), .weight = forward.weight, .dx = dx.stored(), .stride = forward.stride});
    tape.add_gradient(x, stored_as(tape, x.dtype(), dx));
  }
  if (added.defined()) tape.add_gradient(added, dy);
}

}  // namespace

Tensor conv2d(Tape& tape, Tensor x, Tensor weight, Tensor bias, const ConvolutionOptions& how) {
  if (x.rank() != 4 || weight.rank() != 4) throw InputError("conv2d takes x [B, H, W, C] and weight [O, k, k, C]");
  const bool rounds = how.precision == Precision::bfloat16;
  const auto strided = [&](std::int64_t size) { return (size + how.stride - 1) / how.stride; };
  const Tensor y = tape.make({x.size(0), strided(x.size(1)), strided(x.size(2)), weight.size(0)},
                             rounds ? how.stored : DType::float32);
  const DType operands = rounds ? DType::bfloat16 : DType::float32;
  const Tensor copy_of_weight = rounds ? tape.working_copy(weight) : Tensor();
  const Tensor left = stored_as(tape, operands, x);
  const Tensor right = copy_of_weight.defined() ? copy_of_weight : stored_as(tape, operands, weight);
  tape.record(otnfm::conv2d,
              Conv2d{.x = left.stored(),
                     .weight = right.stored(),
                     .bias = view_or_none(bias),
                     .added = how.added.defined() ? View<const Stored>(how.added.stored()) : View<const Stored>(),
                     .y = y.stored(),
                     .stride = how.stride});
  tape.differentiate({x, weight, bias, how.added}, y, conv2d_rule);
  return y;
}

}  // namespace otnfm
