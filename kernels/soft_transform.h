// Half an iteration of Sinkhorn's algorithm: a soft minimum over the columns for every row,
//     f_i = -epsilon log sum_j b_j exp((g_j - C_ij) / epsilon),
// in exponents of base 2, u = f log2(e) / epsilon, v likewise:
//     u_i = -log2 sum_j w_j 2^(v_j + scale s_ij)
// with s from points or stored. Potentials are kept in double and enter the sum as float32 `rounded` with `weight` =
// b_j 2^(v_j - rounded_j) beside it: what rounding takes from a large potential is given back, and the sum is right to
// about the rounding of s alone. Sums are taken relative to the largest exponent so far, so that none is out of range.
#pragma once

#include "kernels/op.h"

namespace otnfm {

/// A side of the problem as the sum over it reads it.
struct SoftSource {
  View<const float> rounded;  // [m] the exponents v_j, rounded
  View<const float> weight;   // [m] not negative, at least one positive
};

/// The side that is updated, and what the update says of it.
struct SoftTarget {
  View<const double> before;   // [n] the exponents u_i
  View<double> after;          // [n] may be `before`
  View<const float> marginal;  // [n] a_i
  View<float> rounded;         // [n] `after` as a SoftSource:
  View<float> weight;          // [n] a_i 2^(after_i - rounded_i)
  View<double>
      residual;  // [n] a_i |2^min(60, before_i - after_i) - 1|: a row's share of the L1 marginal error at `before`
  View<double> mean = {};  // [n] or no memory: the mean of s_ij over row i of the plan
  // For marginals at a price: after = damping (u + offset) - offset.
  double damping = 1;
  View<const double> offset = {};  // [n], read where damping is not 1
};

enum class PairForm : int {
  product,            // s = x.y: of centred points, squared distances up to what depends on i or j alone
  negative_square,    // s = -|x - y|^2, by differences
  negative_distance,  // s = -|x - y|
};

/// s from points, never stored.
struct SoftTransformPoints {
  static constexpr const char* kName = "soft_transform_points";
  View<const float> x;  // [n, d]
  View<const float> y;  // [m, d]
  PairForm form = PairForm::product;
  float scale = 1;
  SoftSource source;  // m of them
  SoftTarget target;  // n of them
};
OTNFM_DECLARE_OP(soft_transform_points, SoftTransformPoints);

/// s stored, [n, m]; or [m, n] where `transposed`, so that one matrix serves both updates.
struct SoftTransformStored {
  static constexpr const char* kName = "soft_transform_stored";
  View<const float> s;
  bool transposed = false;
  float scale = 1;
  SoftSource source;
  SoftTarget target;
};
OTNFM_DECLARE_OP(soft_transform_stored, SoftTransformStored);

/// The same with s as 16-bit fixed-point numbers: their step is the caller's, in `scale`.
struct SoftTransformFixed {
  static constexpr const char* kName = "soft_transform_fixed";
  View<const std::uint16_t> s;
  bool transposed = false;
  float scale = 1;
  SoftSource source;
  SoftTarget target;
};
OTNFM_DECLARE_OP(soft_transform_fixed, SoftTransformFixed);

/// The most rows of a target: their partial sums must fit in the stream's workspace.
inline constexpr std::int64_t kMostSoftTargets = std::int64_t{1} << 21;

}  // namespace otnfm
