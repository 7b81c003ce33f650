#include "engine/core/ops/resnet_flow.h"

#include "kernels/copy.h"
#include "kernels/host/packed_linear.h"

namespace otnfm {
namespace {

/// The part of the gradient of all weights that belongs to this weight is copied to its own.
void packed_rule(Tape& tape, const Node& node) {
  const Copy forward = tape.arguments<Copy>(node);
  const Tensor &weight = node.inputs[0], &packed = node.output;
  const Tensor dweight = tape.new_gradient(weight);
  const std::int64_t at = forward.y.as<float>().data - packed.flat().data;
  tape.record(copy,
              Copy{.x = View<float>(tape.gradient(packed).flat().data + at, forward.y), .y = dweight.as_matrix()});
  tape.add_gradient(weight, dweight);
}

void pack(Tape& tape, const Tensor& weight, const Tensor& packed, std::int64_t at) {
  const View<Stored> from = weight.as_matrix();
  tape.record(copy, Copy{.x = from, .y = View<float>(packed.flat().data + at, from)});
  tape.differentiate({weight}, packed, packed_rule);
}

/// All weights in the order of kernels/resnet_flow.h.
std::vector<Tensor> in_order(const std::vector<ResNetBlockWeights>& blocks) {
  std::vector<Tensor> all;
  for (const ResNetBlockWeights& block : blocks) {
    all.reserve(all.size() + 1 + 2 * block.weights.size());
    if (block.phi.defined()) all.push_back(block.phi);
    for (std::size_t l = 0; l < block.weights.size(); ++l) {
      all.push_back(block.weights[l]);
      all.push_back(block.biases.at(l));
    }
  }
  return all;
}

void flow_rule(Tape& tape, const Node& node) {
  const ResNetFlowForward forward = tape.arguments<ResNetFlowForward>(node);
  const Tensor &x = node.inputs[0], &packed = node.inputs[1];
  const Tensor dx = tape.wants_gradient(x) ? tape.new_gradient(x) : Tensor();
  const Tensor dpacked = tape.new_gradient(packed);
  const Tensor scratch = tape.make({resnet_flow_scratch_bytes(forward.shape, x.rows())}, DType::uint8);
  tape.record(resnet_flow_backward, ResNetFlowBackward{.t = forward.t,
                                                       .dy = tape.gradient(node.output).view(),
                                                       .weights = forward.weights,
                                                       .kept = forward.kept,
                                                       .dweights = dpacked.view(),
                                                       .dx = dx.defined() ? dx.view() : View<float>(),
                                                       .scratch = scratch.view<std::uint8_t>(),
                                                       .shape = forward.shape,
                                                       .precision = forward.precision});
  if (dx.defined()) tape.add_gradient(x, dx);
  tape.add_gradient(packed, dpacked);
}

}  // namespace

Tensor pack_resnet_weights(Tape& tape, const ResNetFlowShape& shape, const std::vector<ResNetBlockWeights>& blocks) {
  const Tensor packed = tape.make({shape.weight_count()});
  std::int64_t at = 0;
  for (const Tensor& weight : in_order(blocks)) {
    pack(tape, weight, packed, at);
    at += weight.flat().shape[0];
  }
  return packed;
}

Tensor fused_resnet(Tape& tape, const ResNetFlowShape& shape, Tensor t, Tensor x, Tensor weights, Precision precision) {
  View<const std::uint8_t> laid_out;
  // They do not change any more: once for all runs, and for all tapes.
  if (tape.packed_weights() != nullptr && tape.is_given(weights))
    laid_out = tape.packed_weights()->resnet_flow(shape, weights.flat(), precision);
  const Tensor y = tape.make(x.shape());
  View<std::uint8_t> kept;
  if (tape.training())
    kept = tape.make({resnet_flow_kept_bytes(shape, x.rows(), precision)}, DType::uint8).view<std::uint8_t>();
  tape.record(resnet_flow_forward, ResNetFlowForward{.t = t.flat(),
                                                     .x = x.view(),
                                                     .weights = weights.flat(),
                                                     .y = y.view(),
                                                     .kept = kept,
                                                     .packed = laid_out,
                                                     .shape = shape,
                                                     .precision = precision});
  tape.differentiate({x, weights}, y, flow_rule);
  return y;
}

}  // namespace otnfm
