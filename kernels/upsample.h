// Every pixel twice in both directions: nearest-neighbour upsampling by 2. 5 C numbers are moved for C that are new.
#pragma once

#include "kernels/op.h"

namespace otnfm {

/// y[b, i, j] = x[b, i / 2, j / 2]
struct Upsample {
  static constexpr const char* kName = "upsample";
  View<const Stored> x;  // [B, H, W, C]
  View<Stored> y;        // [B, 2H, 2W, C], stored as x is
};
OTNFM_DECLARE_OP(upsample, Upsample);

/// dx is the sum of the four dy that came of it.
struct UpsampleBackward {
  static constexpr const char* kName = "upsample_backward";
  View<const Stored> dy;  // [B, 2H, 2W, C]
  View<Stored> dx;        // [B, H, W, C], stored as dy is
};
OTNFM_DECLARE_OP(upsample_backward, UpsampleBackward);

}  // namespace otnfm
