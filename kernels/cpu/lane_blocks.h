// Element-by-element work with a sum a row, in blocks of up to 64 elements that vectorise: neighbouring columns of a
// row, or, where there are few columns (one of two, in the plane), neighbouring rows of a column.
#pragma once

#include "kernels/host/parallel.h"
#include "kernels/view.h"

namespace otnfm::cpu {

inline constexpr std::int64_t kLaneBlock = 64;
inline constexpr std::int64_t kFewLaneColumns = 16;
inline constexpr std::int64_t kLaneGrain = 1024;  // elements of some 50 operations each

/// Element l, 0 <= l < count, is (row(l), column(l)).
struct LaneBlock {
  std::int64_t first_row, first_column, count;
  bool along_rows;
  std::int64_t row(std::int64_t l) const { return along_rows ? first_row + l : first_row; }
  std::int64_t column(std::int64_t l) const { return along_rows ? first_column : first_column + l; }
};

/// body(block, sums) covers every element once and adds element l's term to sums[l]; done(i, sum) gets each row's sum.
/// All of a row is on one thread, in an order that is a function of the shape alone.
template <class Body, class Done>
void for_lane_blocks(std::int64_t rows, std::int64_t columns, const Body& body, const Done& done) {
  const std::int64_t grain = std::max<std::int64_t>(1, kLaneGrain / std::max<std::int64_t>(1, columns));
  host::parallel_ranges(rows, grain, [&](std::int64_t begin, std::int64_t end) {
    const bool along_rows = columns < kFewLaneColumns;
    for (std::int64_t i = begin; i < end; i += along_rows ? kLaneBlock : 1) {
      double sums[kLaneBlock] = {};
      if (along_rows) {
        const std::int64_t count = std::min(kLaneBlock, end - i);
        for (std::int64_t j = 0; j < columns; ++j) body(LaneBlock{i, j, count, true}, sums);
        for (std::int64_t l = 0; l < count; ++l) done(i + l, sums[l]);
      } else {
        for (std::int64_t j = 0; j < columns; j += kLaneBlock)
          body(LaneBlock{i, j, std::min(kLaneBlock, columns - j), false}, sums);
        double sum = 0;
        for (const double lane : sums) sum += lane;
        done(i, sum);
      }
    }
  });
}

/// Elements [offset + l] of a matrix, into or out of an array.
inline void load_lanes(const LaneBlock& block, const View<const float>& from, std::int64_t offset, float* to) {
  for (std::int64_t l = 0; l < block.count; ++l) to[l] = from.row(block.row(l))[offset + block.column(l)];
}
inline void store_lanes(const LaneBlock& block, const float* from, const View<float>& to, std::int64_t offset) {
  for (std::int64_t l = 0; l < block.count; ++l) to.row(block.row(l))[offset + block.column(l)] = from[l];
}

}  // namespace otnfm::cpu
