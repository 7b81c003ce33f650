// The ops that only flows have, on tensors (see engine/core/ops.h).
#pragma once

#include "engine/core/ops.h"
#include "kernels/power_iteration.h"

namespace otnfm {

/// What a power iteration has made of several matrices.
struct SpectralVectors {
  Tensor left;   ///< all u, flat
  Tensor right;  ///< all v, flat
  Tensor sigma;  ///< [count]
};

/// weight min(1, target / sigma), with the gradient through sigma = u^T weight v. `matrix` says where its u and v lie,
/// `k` which sigma is its own. weight [r, c] -> [r, c]
Tensor spectral_scale(Tape& tape, Tensor weight, const SpectralVectors& vectors, const SpectralMatrix& matrix, int k,
                      float target);

}  // namespace otnfm
