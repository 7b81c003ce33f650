// J = dF(t, x)/dx, of a whole flow or of one block, exactly: every point stands d times in the batch, once for each row
// e_i^T J, so that one backward pass gives all of J. 2 d times the FLOPs of a forward pass, in float32; works for every
// family, invertible or not. And what a Jacobian says of the map.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/core/tape.h"
#include "kernels/memory.h"
#include "layers/flows/flow.h"
#include "layers/maps/flow_map.h"

namespace otnfm {

class Jacobian {
 public:
  /// Of block `block`, or of the whole flow. The flow's parameters lie on `device`; it outlives this. About `rows` rows
  /// at a time, which makes rows / d points.
  Jacobian(Flow& flow, Device device, std::optional<std::int64_t> block = {}, std::int64_t rows = 4096);

  std::int64_t dimension() const { return dimension_; }

  /// y = F(t, x) and jacobian(p, i, j) = dy_i / dx_j at every point p; of a whole flow in raw coordinates
  /// (Flow::coordinates), of a block in its own. t [n, 1], x [n, d] -> y [n, d], jacobian [n, d, d], all in host
  /// memory; y may be x. Any n. InputError for other shapes.
  void operator()(View<const float> t, View<const float> x, View<float> y, View<float> jacobian);

 private:
  std::int64_t dimension_, points_;
  FlowCoordinates coordinates_;  // of a block: none
  Stream stream_;
  FlowBatch batch_;
  Memory memory_;  // which point a row is of, and the cotangents
  Tape tape_;
  Tensor y_, gradient_;
};

/// What a Jacobian says of the map near a point. The optimal map between two distributions is the gradient of a convex
/// function (Brenier): its Jacobian is symmetric and has no negative eigenvalue.
struct JacobianSummary {
  std::vector<double> singular_values;  ///< largest first
  double log_abs_determinant = 0;       ///< -infinity where J is singular
  bool keeps_orientation = true;        ///< det J > 0
  double asymmetry = 0;                 ///< ||J - J^T|| / ||J||, Frobenius: 0 symmetric, 2 antisymmetric
  /// Of the eigenvalues of (J + J^T) / 2: norm of the negative ones to the norm of all, 0 to 1.
  double negative_part = 0;
};

/// jacobian [d, d], rows contiguous. RunError where it holds a number that is not finite. O(d^3) in double.
JacobianSummary summarize_jacobian(View<const float> jacobian);

/// log|det| alone, by LU in double.
double log_abs_determinant(View<const float> jacobian);

}  // namespace otnfm
