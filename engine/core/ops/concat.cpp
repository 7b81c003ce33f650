#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/concat.h"

namespace otnfm {
namespace {

void concat_rule(Tape& tape, const Node& node) {
  const Tensor &a = node.inputs[0], &b = node.inputs[1], dy = tape.gradient(node.output);
  const Tensor da = tape.wants_gradient(a) ? tape.new_gradient(a) : Tensor();
  const Tensor db = tape.wants_gradient(b) ? tape.new_gradient(b) : Tensor();
  // A part that is not wanted has no memory, but its width counts.
  const auto part = [](const Tensor& gradient, const Tensor& of) {
    return gradient.defined() ? as_rows(gradient) : View<Stored>(nullptr, of.dtype(), as_rows(of));
  };
  tape.record(split_columns, SplitColumns{.y = as_rows(dy), .a = part(da, a), .b = part(db, b)});
  if (da.defined()) tape.add_gradient(a, da);
  if (db.defined()) tape.add_gradient(b, db);
}

}  // namespace

Tensor concat(Tape& tape, Tensor a, Tensor b) {
  Shape shape = a.shape();
  shape.back() += b.shape().back();
  Tensor y = tape.make(shape, a.dtype());
  tape.record(concat_columns, ConcatColumns{.a = as_rows(a), .b = as_rows(b), .y = as_rows(y)});
  tape.differentiate({a, b}, y, concat_rule);
  return y;
}

}  // namespace otnfm
