#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/cross_entropy.h"

namespace otnfm {
namespace {

void cross_entropy_rule(Tape& tape, const Node& node) {
  const CrossEntropy forward = tape.arguments<CrossEntropy>(node);
  const Tensor& logits = node.inputs[0];
  const Tensor dlogits = tape.new_gradient(logits);
  tape.record(cross_entropy_backward, CrossEntropyBackward{.logits = forward.logits,
                                                           .target = forward.target,
                                                           .dloss = tape.gradient(node.output).view(),
                                                           .dlogits = dlogits.view()});
  tape.add_gradient(logits, dlogits);
}

}  // namespace

Tensor cross_entropy(Tape& tape, Tensor logits, Tensor target) {
  require_same_shape("cross_entropy", logits, target);
  const Tensor loss = tape.make({1});
  tape.record(otnfm::cross_entropy,
              CrossEntropy{.logits = logits.view(), .target = target.view(), .loss = loss.view()});
  tape.differentiate({logits}, loss, cross_entropy_rule);
  return loss;
}

}  // namespace otnfm
