// What an evaluation of a flow costs.
#pragma once

#include "layers/flows/flow.h"

namespace otnfm {

/// FLOPs of the products, convolutions and attentions that one evaluation of F (or, of a model whose samples are made
/// by steps, of its velocity) takes a sample; two for a multiply-add. What is between them is left out. The flow's
/// parameters are on the CPU.
double flops_per_evaluation(Flow& flow, bool of_velocity);

}  // namespace otnfm
