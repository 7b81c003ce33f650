// Rows of costs computed, or of an input read, by all threads, a few at a time, so that limits are looked at.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/host/parallel.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// tile(first, count) for [0, rows) in parts of a multiple of 4 rows, each of some milliseconds where a row takes
/// `work` operations. Throws SolveStopped once the limits are reached.
template <class Tile>
void fill_rows(std::int64_t rows, std::int64_t work, const SolveLimits& limits, const Tile& tile) {
  constexpr std::int64_t kGrain = 64, kOperations = std::int64_t{1} << 24;
  const std::int64_t step = std::clamp<std::int64_t>(kOperations / std::max<std::int64_t>(1, work) / 4 * 4, 4, kGrain);
  host::parallel_ranges(rows, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += step) {
      limits.stop_if_reached();
      tile(i, std::min(step, end - i));
    }
  });
}

/// read(first, count) for [0, rows) in parts of some 64 thousand of a row's `columns` entries: what a solve looks at
/// before it begins. Throws SolveStopped once `limits`, which may be null, are overdue.
template <class Read>
void read_rows(std::int64_t rows, std::int64_t columns, const SolveLimits* limits, const Read& read) {
  constexpr std::int64_t kEntries = std::int64_t{1} << 16;
  const std::int64_t step = std::max<std::int64_t>(1, kEntries / std::max<std::int64_t>(1, columns));
  const SharedLimits shared(limits);
  host::parallel_rows(rows, columns, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t unchecked = 0;
    for (std::int64_t i = begin; i < end; i += step) {
      const std::int64_t count = std::min(step, end - i);
      shared.check(count * columns, unchecked);
      read(i, count);
    }
  });
}

}  // namespace otnfm
