// A whole ResNet flow as one op on tensors (kernels/resnet_flow.h). The weights are any tensors: parameters, or what
// other ops made of them.
#pragma once

#include <vector>

#include "engine/core/ops.h"
#include "kernels/resnet_flow.h"

namespace otnfm {

struct ResNetBlockWeights {
  Tensor phi;                   ///< [K, d]; undefined for identity
  std::vector<Tensor> weights;  ///< of each layer, [out, in]
  std::vector<Tensor> biases;   ///< of each layer, [out]
};

/// All weights behind one another, as the kernel wants them. -> [shape.weight_count()]
Tensor pack_resnet_weights(Tape& tape, const ResNetFlowShape& shape, const std::vector<ResNetBlockWeights>& blocks);

/// x <- x + phi_k(t) * g_k([x, t]), block after block. t [B, 1], x [B, d], weights of pack_resnet_weights -> [B, d]. No
/// gradient flows to t. Takes the shapes that resnet_flow_fits() names, in training too, and every precision; tf32 is
/// float32 here.
Tensor fused_resnet(Tape& tape, const ResNetFlowShape& shape, Tensor t, Tensor x, Tensor weights, Precision precision);

}  // namespace otnfm
