// Sums (or maxima) down the columns of a matrix, the same bits for any number of threads: the matrix is cut into tiles
// whose size depends on its shape alone, each tile folds its own rows in order, and the tiles' results are folded in
// order.
#pragma once

#include "kernels/host/parallel.h"
#include "kernels/stream.h"

namespace otnfm::cpu {

inline constexpr std::int64_t kTileColumns = 512;  // 2 KB of sums, which stay in the first-level cache
inline constexpr std::int64_t kTileRows = 64;

/// tile(row_begin, row_end, column_begin, column_end, into) folds the columns of its tile into into[0 ..], which hold
/// `start`. combine(a, b) folds two results. finish(j, result) receives the result of column j, in parallel.
template <class Combine, class Tile, class Finish>
void fold_columns(Stream& stream, std::int64_t rows, std::int64_t columns, float start, const Combine& combine,
                  const Tile& tile, const Finish& finish) {
  const std::int64_t capacity = static_cast<std::int64_t>(Stream::kWorkspaceBytes / sizeof(float));
  const std::int64_t most_parts = std::max<std::int64_t>(1, capacity / std::max<std::int64_t>(1, columns));
  const std::int64_t part_rows = std::max(kTileRows, (rows + most_parts - 1) / most_parts);
  const std::int64_t parts = (rows + part_rows - 1) / part_rows, strips = (columns + kTileColumns - 1) / kTileColumns;
  float* const partial = reinterpret_cast<float*>(stream.workspace());

  const auto fold_tile = [&](std::int64_t part, std::int64_t strip, float* into) {
    const std::int64_t begin = strip * kTileColumns, end = std::min(columns, begin + kTileColumns);
    std::fill(into, into + (end - begin), start);
    tile(part * part_rows, std::min(rows, (part + 1) * part_rows), begin, end, into);
    return end - begin;
  };
  const std::int64_t tile_elements = std::min(part_rows, rows) * std::min(kTileColumns, columns);
  const std::int64_t grain = std::max<std::int64_t>(1, host::kElementGrain / std::max<std::int64_t>(1, tile_elements));
  if (parts <= 1) {  // so it is, too, where two rows of results would not fit in the workspace
    host::parallel_ranges(strips, grain, [&](std::int64_t first, std::int64_t last) {
      float results[kTileColumns];
      for (std::int64_t strip = first; strip < last; ++strip) {
        const std::int64_t count = fold_tile(0, strip, results);
        for (std::int64_t j = 0; j < count; ++j) finish(strip * kTileColumns + j, results[j]);
      }
    });
    return;
  }
  host::parallel_ranges(parts * strips, grain, [&](std::int64_t first, std::int64_t last) {
    float results[kTileColumns];
    for (std::int64_t k = first; k < last; ++k) {
      const std::int64_t part = k / strips, strip = k % strips;
      const std::int64_t count = fold_tile(part, strip, results);
      std::copy(results, results + count, partial + part * columns + strip * kTileColumns);
    }
  });
  const std::int64_t strip_grain = std::max<std::int64_t>(1, host::kElementGrain / (parts * kTileColumns));
  host::parallel_ranges(strips, strip_grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t strip = first; strip < last; ++strip) {
      const std::int64_t begin = strip * kTileColumns, count = std::min(kTileColumns, columns - begin);
      float results[kTileColumns];
      std::copy(partial + begin, partial + begin + count, results);
      for (std::int64_t part = 1; part < parts; ++part) {
        const float* from = partial + part * columns + begin;
        for (std::int64_t j = 0; j < count; ++j) results[j] = combine(results[j], from[j]);
      }
      for (std::int64_t j = 0; j < count; ++j) finish(begin + j, results[j]);
    }
  });
}

/// As fold_columns, for sums: tile adds its columns to into[0 ..].
template <class Tile, class Finish>
void column_sums(Stream& stream, std::int64_t rows, std::int64_t columns, const Tile& tile, const Finish& finish) {
  fold_columns(
      stream, rows, columns, 0.0f, [](float a, float b) { return a + b; }, tile, finish);
}

}  // namespace otnfm::cpu
