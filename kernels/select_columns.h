// What a coupling's conditioner sees: some columns of x, and the time behind them, y = [x[:, index] | t].
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct SelectColumns {
  static constexpr const char* kName = "select_columns";
  View<const float> x;             // [B, d]
  View<const std::int64_t> index;  // [n], each in 0 .. d - 1, none twice
  View<const float> t;             // [B]
  View<float> y;                   // [B, n + 1]
};
OTNFM_DECLARE_OP(select_columns, SelectColumns);

/// Given dy: dx[:, index[j]] = dy[:, j], and 0 in the columns that were not selected.
struct SelectColumnsBackward {
  static constexpr const char* kName = "select_columns_backward";
  View<const float> dy;            // [B, n + 1]
  View<const std::int64_t> index;  // [n]
  View<float> dx;                  // [B, d]
};
OTNFM_DECLARE_OP(select_columns_backward, SelectColumnsBackward);

}  // namespace otnfm
