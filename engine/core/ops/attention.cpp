#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/attention.h"

namespace otnfm {
namespace {

void attention_rule(Tape& tape, const Node& node) {
  const Attention forward = tape.arguments<Attention>(node);
  const Tensor& qkv = node.inputs[0];
  const Tensor dqkv = tape.new_gradient(qkv);
  tape.record(attention_backward, AttentionBackward{.qkv = forward.qkv,
                                                    .y = forward.y,
                                                    .log_sum = forward.log_sum,
                                                    .dy = tape.gradient(node.output).stored(),
                                                    .dqkv = dqkv.stored()});
  tape.add_gradient(qkv, dqkv);
}

}  // namespace

Tensor attention(Tape& tape, Tensor qkv, std::int64_t heads) {
  const Tensor y = tape.make({qkv.size(0), qkv.size(1), qkv.size(2) / 3}, qkv.dtype());
  const Tensor log_sum = tape.make({qkv.size(0), heads, qkv.size(1)});
  tape.record(otnfm::attention, Attention{.qkv = qkv.stored(), .y = y.stored(), .log_sum = log_sum.view()});
  tape.differentiate({qkv}, y, attention_rule);
  return y;
}

}  // namespace otnfm
