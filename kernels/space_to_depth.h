// Patches of p x p pixels become p p C channels of one, and back. Each is the other's inverse, and its backward. It
// moves numbers and computes nothing: 8 bytes a number.
#pragma once

#include "kernels/op.h"

namespace otnfm {

/// y[b, i, j, (u p + v) C + c] = x[b, i p + u, j p + v, c]
struct SpaceToDepth {
  static constexpr const char* kName = "space_to_depth";
  View<const Stored> x;    // [B, H, W, C]; p divides H and W
  View<Stored> y;          // [B, H / p, W / p, p p C], stored as x is
  std::int64_t patch = 2;  // p
};
OTNFM_DECLARE_OP(space_to_depth, SpaceToDepth);

struct DepthToSpace {
  static constexpr const char* kName = "depth_to_space";
  View<const Stored> x;    // [B, H / p, W / p, p p C]
  View<Stored> y;          // [B, H, W, C], stored as x is
  std::int64_t patch = 2;  // p
};
OTNFM_DECLARE_OP(depth_to_space, DepthToSpace);

}  // namespace otnfm
