// All squared distances between two sets of points, block by block, never stored: |a|^2 + |b|^2 - 2 <a, b> by GEMM,
// both sets centred on the mean of b first, so that the terms are no larger than they must be. Arithmetic is float32:
// the error of one squared distance is at most error_bound(). 2 n m d FLOPs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/host/parallel.h"
#include "kernels/view.h"

namespace otnfm {

class PairwiseDistances {
 public:
  /// a [n, d], b [m, d]. InputError where the dimensions disagree or a set is empty.
  PairwiseDistances(View<const float> a, View<const float> b);

  /// use(i, first_column, squared, count): the squared distances of a_i to b_{first_column} .. + count. Rows come in
  /// parallel; the calls for one row come one after the other, columns ascending.
  template <class Use>
  void for_each_row_block(const Use& use) {
    for (std::int64_t row = 0; row < n_; row += kRows)
      for (std::int64_t column = 0; column < m_; column += kColumns) {
        const std::int64_t count = std::min(kColumns, m_ - column);
        multiply(row, column);
        host::parallel_rows(std::min(kRows, n_ - row), count, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) use(row + i, column, squared_distances(row, column, i), count);
        });
      }
  }

  /// The most by which a squared distance of a_i can be wrong: the products are d additions in float32.
  double error_bound(std::int64_t i) const;

 private:
  static constexpr std::int64_t kRows = 256, kColumns = 2048;

  void multiply(std::int64_t row, std::int64_t column);
  float* squared_distances(std::int64_t row, std::int64_t column, std::int64_t i);

  std::int64_t n_ = 0, m_ = 0, d_ = 0;
  std::vector<float> a_, b_;                  // centred
  std::vector<float> a_squares_, b_squares_;  // |a_i|^2, |b_j|^2
  float largest_b_square_ = 0;
  std::vector<float> block_;  // [kRows, kColumns]
};

}  // namespace otnfm
