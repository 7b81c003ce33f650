#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/squared_error.h"

namespace otnfm {
namespace {

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

}  // namespace otnfm
