// Which point a query goes to where every point has a bias: index_i = argmin_j ||x_i - y_j||^2 - g_j, the lowest index
// of equal ones. With the potentials g of a semidiscrete optimal transport this is its map from x to the points; with g
// = 0 it is the nearest point.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct BiasedArgmin {
  static constexpr const char* kName = "biased_argmin";
  View<const float> x;       // [B, d]
  View<const float> points;  // [N, d], N < 2^31
  View<const float> bias;    // [N]
  View<std::int64_t> index;  // [B]; -1 where no value is below infinity (N = 0, or a NaN in x)
  View<float> value;         // [B]: ||x_i - y_index||^2 - g_index; infinity where the index is -1

  /// Up to this dimension distances are sums of squared differences; above it they are |x|^2 + |y|^2 - 2 <x, y>, whose
  /// rounding errors are those of the squares: centre both clouds first.
  static constexpr std::int64_t kMostDirect = 16;
};
OTNFM_DECLARE_OP(biased_argmin, BiasedArgmin);

}  // namespace otnfm
