// What a forbidden pair costs, and what a minimum begins with.
#pragma once

#include <limits>

namespace otnfm {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace otnfm
