// Scope: where a layer is called. A call reads like mathematics, y = layer(s, x), and all that is the same for every
// layer of a flow stands once.
#pragma once

#include "engine/core/parameters.h"
#include "engine/core/tape.h"
#include "kernels/precision.h"
#include "layers/spectral_norm.h"

namespace otnfm {

struct Scope {
  Tape& tape;
  const Parameters& parameters;
  Precision precision = Precision::float32;
  DType storage = DType::float32;  ///< of activations between layers; bfloat16 only in that precision
  SpectralNorm* norm = nullptr;    ///< that the weights of linear layers were added to, if they are normalised

  Tensor parameter(Parameter p) const { return tape.parameter(parameters, p); }
  /// A linear layer's weight, normalised where the scope has a norm.
  Tensor weight(Parameter p) const { return norm ? norm->weight(tape, parameters, p) : parameter(p); }
};

}  // namespace otnfm
