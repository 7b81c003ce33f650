#include "engine/core/ops/flow_ops.h"

#include "kernels/select_columns.h"

namespace otnfm {
namespace {

void select_columns_rule(Tape& tape, const Node& node) {
  const Tensor dx = tape.new_gradient(node.inputs[0]);
  tape.record(select_columns_backward, SelectColumnsBackward{.dy = tape.gradient(node.output).view(),
                                                             .index = tape.arguments<SelectColumns>(node).index,
                                                             .dx = dx.view()});
  tape.add_gradient(node.inputs[0], dx);
}

}  // namespace

Tensor select_columns(Tape& tape, Tensor x, const View<const std::int64_t>& columns, Tensor t) {
  Tensor y = tape.make({x.rows(), columns.shape[0] + 1});
  tape.record(otnfm::select_columns, SelectColumns{.x = x.view(), .index = columns, .t = t.flat(), .y = y.view()});
  tape.differentiate({x}, y, select_columns_rule);
  return y;
}

}  // namespace otnfm
