#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/group_norm.h"

namespace otnfm {
namespace {

void group_norm_rule(Tape& tape, const Node& node) {
  const GroupNorm forward = tape.arguments<GroupNorm>(node);
  const Tensor &x = node.inputs[0], &weight = node.inputs[1], &bias = node.inputs[2], &film = node.inputs[3];
  const Tensor dx = tape.new_gradient(x);
  // The op makes all of them; where one is not wanted, it is thrown away.
  const auto gradient_for = [&](const Tensor& input) {
    return tape.wants_gradient(input) ? tape.new_gradient(input) : tape.make(input.shape());
  };
  const Tensor dweight = gradient_for(weight), dbias = gradient_for(bias);
  const Tensor dfilm = film.defined() ? gradient_for(film) : Tensor();
  tape.record(group_norm_backward, GroupNormBackward{.x = forward.x,
                                                     .weight = forward.weight,
                                                     .bias = forward.bias,
                                                     .film = forward.film,
                                                     .mean = forward.mean,
                                                     .rstd = forward.rstd,
                                                     .dy = as_positions(tape.gradient(node.output)),
                                                     .dx = as_positions(dx),
                                                     .dweight = dweight.view(),
                                                     .dbias = dbias.view(),
                                                     .dfilm = dfilm.defined() ? dfilm.view() : View<float>(),
                                                     .activation = forward.activation});
  if (tape.wants_gradient(x)) tape.add_gradient(x, dx);
  if (tape.wants_gradient(weight)) tape.add_gradient(weight, dweight);
  if (tape.wants_gradient(bias)) tape.add_gradient(bias, dbias);
  if (film.defined() && tape.wants_gradient(film)) tape.add_gradient(film, dfilm);
}

}  // namespace

Tensor group_norm(Tape& tape, Tensor x, Tensor weight, Tensor bias, Tensor film, std::int64_t groups,
                  Activation activation) {
  const Tensor y = tape.make(x.shape(), x.dtype());
  const Tensor mean = tape.make({x.size(0), groups}), rstd = tape.make({x.size(0), groups});
  tape.record(otnfm::group_norm, GroupNorm{.x = as_positions(x),
                                           .weight = weight.flat(),
                                           .bias = bias.flat(),
                                           .film = view_or_none(film),
                                           .y = as_positions(y),
                                           .mean = mean.view(),
                                           .rstd = rstd.view(),
                                           .activation = activation});
  tape.differentiate({x, weight, bias, film}, y, group_norm_rule);
  return y;
}

}  // namespace otnfm
