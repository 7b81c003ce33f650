#include "engine/core/ops/flow_ops.h"

#include "kernels/spectral_scale.h"

namespace otnfm {
namespace {

/// Elements [begin, begin + count) of a vector.
View<const float> part_of(const Tensor& vector, std::int64_t begin, std::int64_t count) {
  return vector.flat().row_slice(begin, count);
}

void spectral_scale_rule(Tape& tape, const Node& node) {
  const SpectralScale forward = tape.arguments<SpectralScale>(node);
  const Tensor& weight = node.inputs[0];
  const Tensor dweight = tape.new_gradient(weight);
  tape.record(spectral_scale_backward, SpectralScaleBackward{.w = forward.w,
                                                             .u = forward.u,
                                                             .v = forward.v,
                                                             .sigma = forward.sigma,
                                                             .dy = tape.gradient(node.output).view(),
                                                             .dw = dweight.view(),
                                                             .target = forward.target});
  tape.add_gradient(weight, dweight);
}

}  // namespace

Tensor spectral_scale(Tape& tape, Tensor weight, const SpectralVectors& vectors, const SpectralMatrix& matrix, int k,
                      float target) {
  Tensor y = tape.make(weight.shape());
  tape.record(otnfm::spectral_scale, SpectralScale{.w = weight.view(),
                                                   .u = part_of(vectors.left, matrix.left, matrix.rows),
                                                   .v = part_of(vectors.right, matrix.right, matrix.columns),
                                                   .sigma = part_of(vectors.sigma, k, 1),
                                                   .y = y.view(),
                                                   .target = target});
  tape.differentiate({weight}, y, spectral_scale_rule);
  return y;
}

}  // namespace otnfm
