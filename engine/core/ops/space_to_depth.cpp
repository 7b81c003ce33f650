#include "engine/core/ops.h"

#include "engine/core/ops/shared.h"
#include "kernels/space_to_depth.h"

namespace otnfm {
namespace {

void space_to_depth_rule(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  const Tensor dx = tape.new_gradient(x);
  tape.record(otnfm::depth_to_space, DepthToSpace{.x = tape.gradient(node.output).stored(),
                                                  .y = dx.stored(),
                                                  .patch = tape.arguments<SpaceToDepth>(node).patch});
  tape.add_gradient(x, dx);
}

void depth_to_space_rule(Tape& tape, const Node& node) {
  const Tensor& x = node.inputs[0];
  const Tensor dx = tape.new_gradient(x);
  tape.record(otnfm::space_to_depth, SpaceToDepth{.x = tape.gradient(node.output).stored(),
                                                  .y = dx.stored(),
                                                  .patch = tape.arguments<DepthToSpace>(node).patch});
  tape.add_gradient(x, dx);
}

}  // namespace

Tensor space_to_depth(Tape& tape, Tensor x, std::int64_t patch) {
  const Tensor y = tape.make({x.size(0), x.size(1) / patch, x.size(2) / patch, patch * patch * x.size(3)}, x.dtype());
  tape.record(otnfm::space_to_depth, SpaceToDepth{.x = x.stored(), .y = y.stored(), .patch = patch});
  tape.differentiate({x}, y, space_to_depth_rule);
  return y;
}

Tensor depth_to_space(Tape& tape, Tensor x, std::int64_t patch) {
  const Tensor y = tape.make({x.size(0), x.size(1) * patch, x.size(2) * patch, x.size(3) / (patch * patch)}, x.dtype());
  tape.record(otnfm::depth_to_space, DepthToSpace{.x = x.stored(), .y = y.stored(), .patch = patch});
  tape.differentiate({x}, y, depth_to_space_rule);
  return y;
}

}  // namespace otnfm
