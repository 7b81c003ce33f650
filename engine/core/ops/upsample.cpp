#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/upsample.h"

namespace otnfm {
namespace {

void upsample_rule(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  const Tensor dx = tape.new_gradient(x);
  tape.record(upsample_backward, UpsampleBackward{.dy = tape.gradient(node.output).stored(), .dx = dx.stored()});
  tape.add_gradient(x, dx);
}

}  // namespace

Tensor upsample(Tape& tape, Tensor x) {
  const Tensor y = tape.make({x.size(0), 2 * x.size(1), 2 * x.size(2), x.size(3)}, x.dtype());
  tape.record(otnfm::upsample, Upsample{.x = x.stored(), .y = y.stored()});
  tape.differentiate({x}, y, upsample_rule);
  return y;
}

}  // namespace otnfm
