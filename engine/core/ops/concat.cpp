#include "engine/core/ops.h"

#include "kernels/concat.h"

namespace otnfm {
namespace {

void concat_rule(Tape& tape, const Node& node) {
  const Tensor &a = node.inputs[0], &b = node.inputs[1], dy = tape.gradient(node.output);
  const Tensor da = tape.wants_gradient(a) ? tape.new_gradient(a) : Tensor();
  const Tensor db = tape.wants_gradient(b) ? tape.new_gradient(b) : Tensor();
  // A part that is not wanted has no memory, but its width counts.
  const auto part = [](const Tensor& gradient, const Tensor& of) {
    return gradient.defined() ? gradient.view() : View<float>(nullptr, {of.rows(), of.columns()});
  };
  tape.record(split_columns, SplitColumns{.y = dy.view(), .a = part(da, a), .b = part(db, b)});
  if (da.defined()) tape.add_gradient(a, da);
  if (db.defined()) tape.add_gradient(b, db);
}

}  // namespace

Tensor concat(Tape& tape, Tensor a, Tensor b) {
  Tensor y = tape.make({a.rows(), a.columns() + b.columns()});
  tape.record(concat_columns, ConcatColumns{.a = a.view(), .b = b.view(), .y = y.view()});
  tape.differentiate({a, b}, y, concat_rule);
  return y;
}

}  // namespace otnfm
