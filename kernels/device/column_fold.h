// Folds (sums, maxima) down the columns of a matrix, in two launches and without atomics: first every block folds a
// strip of 32 columns over a chunk of rows, 8 rows at a time, into one row of partial results in the workspace; then
// one block a strip folds the chunks. Neighbouring threads read neighbouring columns. The chunks depend on the shape
// alone, and so do the bits of the result.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/device/launch.h"
#include "kernels/device/shared.h"
#include "kernels/stream.h"

namespace otnfm {

inline constexpr int kFoldColumns = 32;
inline constexpr int kFoldRows = 8;
inline constexpr int kFoldThreads = kFoldColumns * kFoldRows;

struct ColumnChunks {
  std::int64_t strips;      ///< of kFoldColumns columns
  std::int64_t chunks;      ///< of rows; at least 1, also where there are no rows
  std::int64_t chunk_rows;  ///< rows a chunk
  std::int64_t blocks() const { return strips * chunks; }
};

/// At least 32 rows a chunk, no more blocks than the grid of one launch needs, partial results within the workspace.
inline ColumnChunks column_chunks(std::int64_t rows, std::int64_t columns) {
  ColumnChunks c;
  c.strips = (columns + kFoldColumns - 1) / kFoldColumns;
  const std::int64_t capacity = static_cast<std::int64_t>(Stream::kWorkspaceBytes / sizeof(float));
  const std::int64_t wanted = std::min({(rows + 31) / 32, kMaxStridedBlocks / std::max<std::int64_t>(1, c.strips),
                                        capacity / std::max<std::int64_t>(1, columns)});
  const std::int64_t most = std::max<std::int64_t>(1, wanted);
  c.chunk_rows = (rows + most - 1) / most;
  c.chunks = c.chunk_rows == 0 ? 1 : (rows + c.chunk_rows - 1) / c.chunk_rows;
  return c;
}

/// For a block of kFoldThreads: folds value(i, j) over rows [row_begin, row_end) of the block's strip; every element is
/// visited once. store(j, result) is called once a column.
template <class Combine, class Value, class Store>
__device__ __forceinline__ void fold_strip(std::int64_t strip, std::int64_t row_begin, std::int64_t row_end,
                                           std::int64_t columns, float start, const Combine& combine,
                                           const Value& value, const Store& store) {
  SHARED_ARRAY_2D(float, results, kFoldRows, kFoldColumns);
  const int column = static_cast<int>(threadIdx.x) % kFoldColumns, row = static_cast<int>(threadIdx.x) / kFoldColumns;
  const std::int64_t j = strip * kFoldColumns + column;
  float result = start;
  if (j < columns)
    for (std::int64_t i = row_begin + row; i < row_end; i += kFoldRows) result = combine(result, value(i, j));
  results[row][column] = result;
  __syncthreads();
  if (row == 0 && j < columns) {
    for (int other = 1; other < kFoldRows; ++other) result = combine(result, results[other][column]);
    store(j, result);
  }
  __syncthreads();
}

/// The second launch: partial is [chunks, columns]; the result of a column is divided by `divisor`.
template <class Combine>
__global__ void fold_chunks_kernel(const float* partial, std::int64_t chunks, std::int64_t columns, float start,
                                   Combine combine, float divisor, float* result) {
  fold_strip(
      blockIdx.x, 0, chunks, columns, start, combine,
      [&](std::int64_t i, std::int64_t j) { return partial[i * columns + j]; },
      [&](std::int64_t j, float folded) { result[j] = folded / divisor; });
}

}  // namespace otnfm
