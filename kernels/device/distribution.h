// The two-dimensional distributions that flows are tried on.
#pragma once

namespace otnfm {

enum class DistributionKind : int {
  eight_gaussians,
  moons,
  checkerboard,
  swissroll,
  spirals,
  rings,
  pinwheel,
  crescent
};

}  // namespace otnfm
