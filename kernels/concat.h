// Columns side by side, their parts again, and a row or a column repeated: how the time t joins the points x.
#pragma once

#include "kernels/op.h"

namespace otnfm {

/// y = [a | b]
struct ConcatColumns {
  static constexpr const char* kName = "concat_columns";
  View<const Stored> a;  // [B, m]
  View<const Stored> b;  // [B, n], stored as a is
  View<Stored> y;        // [B, m + n]
};
OTNFM_DECLARE_OP(concat_columns, ConcatColumns);

/// [a | b] = y: the backward of ConcatColumns. A part without memory is not wanted; its width still counts.
struct SplitColumns {
  static constexpr const char* kName = "split_columns";
  View<const Stored> y;  // [B, m + n]
  View<Stored> a;        // [B, m]
  View<Stored> b;        // [B, n], stored as y is, as a is
};
OTNFM_DECLARE_OP(split_columns, SplitColumns);

/// y(i, j) = x(i, 0) of a column [B, 1], or x(0, j) of a row [1, d]. It has no backward.
struct Broadcast {
  static constexpr const char* kName = "broadcast";
  View<const float> x;  // [B, 1] or [1, d]
  View<float> y;        // [B, d]
};
OTNFM_DECLARE_OP(broadcast, Broadcast);

}  // namespace otnfm
