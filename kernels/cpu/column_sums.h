// Sums down the columns of a matrix, the same bits for any number of threads: the matrix is cut into tiles whose size
// depends on its shape alone, each tile sums its own rows in order, and the tiles' sums are added in order.
#pragma once

#include "kernels/host/parallel.h"
#include "kernels/stream.h"

namespace otnfm::cpu {

inline constexpr std::int64_t kTileColumns = 512;  // 2 KB of sums, which stay in the first-level cache
inline constexpr std::int64_t kTileRows = 64;

/// tile(row_begin, row_end, column_begin, column_end, into) adds the columns of its tile to into[0 ..]. finish(j, sum)
/// receives the sum of column j, in parallel.
template <class Tile, class Finish>
void column_sums(Stream& stream, std::int64_t rows, std::int64_t columns, const Tile& tile, const Finish& finish) {
  const std::int64_t capacity = static_cast<std::int64_t>(Stream::kWorkspaceBytes / sizeof(float));
  const std::int64_t most_parts = std::max<std::int64_t>(1, capacity / std::max<std::int64_t>(1, columns));
  const std::int64_t part_rows = std::max(kTileRows, (rows + most_parts - 1) / most_parts);
  const std::int64_t parts = (rows + part_rows - 1) / part_rows, strips = (columns + kTileColumns - 1) / kTileColumns;
  float* const partial = reinterpret_cast<float*>(stream.workspace());

  const auto sum_tile = [&](std::int64_t part, std::int64_t strip, float* into) {
    const std::int64_t begin = strip * kTileColumns, end = std::min(columns, begin + kTileColumns);
    std::fill(into, into + (end - begin), 0.0f);
    tile(part * part_rows, std::min(rows, (part + 1) * part_rows), begin, end, into);
    return end - begin;
  };
  const std::int64_t tile_elements = std::min(part_rows, rows) * std::min(kTileColumns, columns);
  const std::int64_t grain = std::max<std::int64_t>(1, host::kElementGrain / std::max<std::int64_t>(1, tile_elements));
  if (parts <= 1) {  // so it is, too, where two rows of sums would not fit in the workspace
    host::parallel_ranges(strips, grain, [&](std::int64_t first, std::int64_t last) {
      float sums[kTileColumns];
      for (std::int64_t strip = first; strip < last; ++strip) {
        const std::int64_t count = sum_tile(0, strip, sums);
        for (std::int64_t j = 0; j < count; ++j) finish(strip * kTileColumns + j, sums[j]);
      }
    });
    return;
  }
  host::parallel_ranges(parts * strips, grain, [&](std::int64_t first, std::int64_t last) {
    float sums[kTileColumns];
    for (std::int64_t k = first; k < last; ++k) {
      const std::int64_t part = k / strips, strip = k % strips;
      const std::int64_t count = sum_tile(part, strip, sums);
      std::copy(sums, sums + count, partial + part * columns + strip * kTileColumns);
    }
  });
  const std::int64_t strip_grain = std::max<std::int64_t>(1, host::kElementGrain / (parts * kTileColumns));
  host::parallel_ranges(strips, strip_grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t strip = first; strip < last; ++strip) {
      const std::int64_t begin = strip * kTileColumns, count = std::min(kTileColumns, columns - begin);
      float sums[kTileColumns];
      std::copy(partial + begin, partial + begin + count, sums);
      for (std::int64_t part = 1; part < parts; ++part) {
        const float* from = partial + part * columns + begin;
        for (std::int64_t j = 0; j < count; ++j) sums[j] += from[j];
      }
      for (std::int64_t j = 0; j < count; ++j) finish(begin + j, sums[j]);
    }
  });
}

}  // namespace otnfm::cpu
