#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/dropout.h"

namespace otnfm {
namespace {

/// One row an image, so that what is dropped of it does not depend on the batch.
View<Stored> as_images(const Tensor& x) {
  const View<Stored> all = x.stored();
  return {all.data, all.dtype, Extents{x.size(0), x.size(0) == 0 ? 0 : x.size() / x.size(0)}};
}

void dropout_rule(Tape& tape, const Node& node) {
  const Dropout forward = tape.arguments<Dropout>(node);
  const Tensor& x = node.inputs[0];
  const Tensor dx = tape.new_gradient(x);
  tape.record(
      otnfm::dropout,
      Dropout{
          .x = as_images(tape.gradient(node.output)), .y = as_images(dx), .key = forward.key, .rate = forward.rate});
  tape.add_gradient(x, dx);
}

}  // namespace

Tensor dropout(Tape& tape, Tensor x, const RandomKey& key, float rate) {
  const Tensor y = tape.make(x.shape(), x.dtype());
  tape.record(otnfm::dropout, Dropout{.x = as_images(x), .y = as_images(y), .key = key, .rate = rate});
  tape.differentiate({x}, y, dropout_rule);
  return y;
}

}  // namespace otnfm
