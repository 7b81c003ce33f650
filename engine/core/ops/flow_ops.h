// The ops that only flows have, on tensors (see engine/core/ops.h).
#pragma once

#include "engine/core/ops.h"
#include "kernels/device/spline.h"
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

/// [x[:, columns] | t]: what a conditioner sees. x [B, d], columns [n] int64, t [B, 1] -> [B, n + 1]. No gradient flows
/// to t.
Tensor select_columns(Tape& tape, Tensor x, const View<const std::int64_t>& columns, Tensor t);

/// A coupling's result. log_det is that of the map that was asked for, inverse or not.
struct Coupled {
  Tensor y;        ///< [B, d]
  Tensor log_det;  ///< [B, 1], undefined where it was not wanted
};

/// The last n columns of `index` moved, the others copied (kernels/affine_coupling.h). x [B, d], raw [B, 2 n],
/// phi_scale and phi_shift [B, n], index [d] int64.
struct AffineCouplingInputs {
  Tensor x, raw, phi_scale, phi_shift;
  View<const std::int64_t> index;
  float bound;
  bool inverse;
  bool with_log_det;
};
Coupled affine_coupling(Tape& tape, const AffineCouplingInputs& inputs);

/// The same by splines (kernels/spline_coupling.h). x [B, d], raw [B, n (3 K - 1)], phi [B, n], index [d] int64.
struct SplineCouplingInputs {
  Tensor x, raw, phi;
  View<const std::int64_t> index;
  SplineShape shape;
  bool inverse;
  bool with_log_det;
};
Coupled spline_coupling(Tape& tape, const SplineCouplingInputs& inputs);

/// beta sigmoid(r) h, h = x held within +-box, over box; h itself where r is undefined. All [B, d]
Tensor gru_reset(Tape& tape, Tensor x, Tensor r, float box, float beta);

/// x + phi alpha sigmoid(z) box (tanh(u) - h), h as above. All [B, d]
Tensor gru_gate(Tape& tape, Tensor x, Tensor phi, Tensor z, Tensor u, float box, float alpha);

}  // namespace otnfm
