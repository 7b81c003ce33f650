// Reductions of a matrix along its rows (one number a row) or its columns (one number a column), in an order that does
// not depend on the number of threads. The sum and the mean of nothing are 0. A NaN makes every result over it NaN, the
// maximum too (it then counts as the largest).
#pragma once

#include "kernels/op.h"

namespace otnfm {

enum class Reduction : int { sum, mean, sum_of_squares, max };

struct ReduceRows {
  static constexpr const char* kName = "reduce_rows";
  View<const float> x;  // [B, d]; d >= 1 for max
  View<float> y;        // [B]
  Reduction reduction;
};
OTNFM_DECLARE_OP(reduce_rows, ReduceRows);

struct ReduceColumns {
  static constexpr const char* kName = "reduce_columns";
  View<const float> x;  // [B, d]; B >= 1 for max
  View<float> y;        // [d]
  Reduction reduction;
};
OTNFM_DECLARE_OP(reduce_columns, ReduceColumns);

/// Given dy [B]: dx. Of equal maxima the first receives the gradient.
struct ReduceRowsBackward {
  static constexpr const char* kName = "reduce_rows_backward";
  View<const float> x;   // [B, d]
  View<const float> dy;  // [B]
  View<float> dx;        // [B, d]
  Reduction reduction;
};
OTNFM_DECLARE_OP(reduce_rows_backward, ReduceRowsBackward);

/// Given dy [d]: dx. Of equal maxima the first receives the gradient.
struct ReduceColumnsBackward {
  static constexpr const char* kName = "reduce_columns_backward";
  View<const float> x;   // [B, d]
  View<const float> dy;  // [d]
  View<float> dx;        // [B, d]
  Reduction reduction;
};
OTNFM_DECLARE_OP(reduce_columns_backward, ReduceColumnsBackward);

}  // namespace otnfm
