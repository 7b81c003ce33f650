#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/elementwise.h"

namespace otnfm {
namespace {

void add_rule(Tape& tape, const Node& node) {
  tape.add_gradient(node.inputs[0], tape.gradient(node.output));
  tape.add_gradient(node.inputs[1], tape.gradient(node.output));
}

void multiply_rule(Tape& tape, const Node& node) {
  const Tensor &a = node.inputs[0], &b = node.inputs[1];
  const Tensor da = tape.make(a.shape(), a.dtype()), db = tape.make(b.shape(), b.dtype());
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

}  // namespace

Tensor add(Tape& tape, Tensor a, Tensor b) {
  require_same_shape("add", a, b);
  Tensor y = tape.make(a.shape(), a.dtype());
  tape.record(otnfm::add, Add{.a = a.as_matrix(), .b = b.as_matrix(), .y = y.as_matrix()});
  tape.differentiate({a, b}, y, add_rule);
  return y;
}

Tensor multiply(Tape& tape, Tensor a, Tensor b) {
  require_same_shape("multiply", a, b);
  Tensor y = tape.make(a.shape(), a.dtype());
  tape.record(otnfm::multiply, Multiply{.a = a.as_matrix(), .b = b.as_matrix(), .y = y.as_matrix()});
  tape.differentiate({a, b}, y, multiply_rule);
  return y;
}

Tensor scale(Tape& tape, Tensor x, float factor) {
  Tensor y = tape.make(x.shape(), x.dtype());
  tape.record(otnfm::scale, Scale{.x = x.as_matrix(), .y = y.as_matrix(), .factor = factor});
  tape.differentiate({x}, y, scale_rule);
  return y;
}

}  // namespace otnfm
