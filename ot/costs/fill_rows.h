// Rows of costs computed by all threads, a few at a time, so that limits are looked at.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/parallel.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// tile(first, count) for [0, rows) in parts of a multiple of 4 rows, each of some milliseconds where a row takes
/// `work` operations. Throws SolveStopped once the limits are reached.
template <class Tile>
void fill_rows(std::int64_t rows, std::int64_t work, const SolveLimits& limits, const Tile& tile) {
  constexpr std::int64_t kGrain = 64, kOperations = std::int64_t{1} << 24;
  const std::int64_t step = std::clamp<std::int64_t>(kOperations / std::max<std::int64_t>(1, work) / 4 * 4, 4, kGrain);
  cpu::parallel_ranges(rows, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += step) {
      limits.stop_if_reached();
      tile(i, std::min(step, end - i));
    }
  });
}

}  // namespace otnfm
