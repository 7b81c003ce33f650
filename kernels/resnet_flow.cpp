#include "kernels/resnet_flow.h"

#include "kernels/check.h"
#include "kernels/cpu/resnet_flow/layout.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

using cpu::resnet::Packed;
using cpu::resnet::Partial;
using cpu::resnet::Rounded;
using resnet::Chunks;
using resnet::Kept;

void check_shape(const char* op, const ResNetFlowShape& s) {
  const std::int64_t K = s.phi_weights;
  require(resnet_flow_fits(s), op, "dimension, width, blocks or depth out of range",
          std::to_string(s.dimension) + ", " + std::to_string(s.width) + ", " + std::to_string(s.blocks) + ", " +
              std::to_string(s.depth));
  require(time_function_takes(s.phi, K), op,
          "K must be 0 for identity, 1 for linear, tanh and log, 2 m for the Fourier kinds",
          "K = " + std::to_string(K));
}

void check(const ResNetFlowForward& a) {
  check_shape(a.kName, a.shape);
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  const std::int64_t B = a.x.rows();
  require_matrix(a.kName, "x", a.x, B, a.shape.dimension);
  require_matrix(a.kName, "y", a.y, B, a.shape.dimension);
  require_vector(a.kName, "t", a.t, B);
  require_vector(a.kName, "weights", a.weights, a.shape.weight_count());
  if (a.packed.data) require_vector(a.kName, "packed", a.packed, resnet_flow_packed_bytes(a.shape));
  if (!a.kept.data) return;
  require(!a.packed.data, a.kName, "a forward for a backward takes no packed weights");
  require_vector(a.kName, "kept", a.kept, resnet_flow_kept_bytes(a.shape, B, a.precision));
}

void check(const ResNetFlowBackward& a) {
  check_shape(a.kName, a.shape);
  require(a.dy.rank == 2, a.kName, "dy must be a matrix", describe(a.dy));
  const std::int64_t B = a.dy.rows();
  require_matrix(a.kName, "dy", a.dy, B, a.shape.dimension);
  require_vector(a.kName, "t", a.t, B);
  if (a.dx.data) require_matrix(a.kName, "dx", a.dx, B, a.shape.dimension);
  require_vector(a.kName, "weights", a.weights, a.shape.weight_count());
  require_vector(a.kName, "dweights", a.dweights, a.shape.weight_count());
  require_vector(a.kName, "kept", a.kept, resnet_flow_kept_bytes(a.shape, B, a.precision));
  require_vector(a.kName, "scratch", a.scratch, resnet_flow_scratch_bytes(a.shape, B));
}

}  // namespace

bool resnet_flow_fits(const ResNetFlowShape& s) {
  return s.dimension >= 1 && s.dimension <= ResNetFlowShape::kMaxDimension && s.width >= 1 &&
         s.width <= ResNetFlowShape::kMaxWidth && s.blocks >= 1 && s.depth >= 0;
}

std::int64_t resnet_flow_kept_bytes(const ResNetFlowShape& shape, std::int64_t B, Precision precision) {
  const std::int64_t words =
      resnet::tiles_of(B) * Kept{shape}.tile_size() + (rounds(precision) ? Rounded{shape}.size() : 0);
  return words * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t resnet_flow_packed_bytes(const ResNetFlowShape& shape) {
  return Packed{shape}.size() * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t resnet_flow_scratch_bytes(const ResNetFlowShape& shape, std::int64_t B) {
  return Chunks(B).count * Partial{shape}.size() * static_cast<std::int64_t>(sizeof(float));
}

OTNFM_DISPATCH_OP(resnet_flow_forward, ResNetFlowForward);
OTNFM_DISPATCH_OP(resnet_flow_backward, ResNetFlowBackward);

}  // namespace otnfm
