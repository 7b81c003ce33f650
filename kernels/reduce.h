// Sums along the rows of a matrix, in an order that does not depend on the number of threads. The sum of nothing is 0.
#pragma once

#include "kernels/op.h"

namespace otnfm {

enum class Reduction : int { sum, sum_of_squares };

struct ReduceRows {
  static constexpr const char* kName = "reduce_rows";
  View<const float> x;  // [B, d]
  View<float> y;        // [B]
  Reduction reduction;
};
OTNFM_DECLARE_OP(reduce_rows, ReduceRows);

}  // namespace otnfm
