// The costs of a problem as the solvers read them: in double, a tile at a time, computed from the points or converted
// from the matrix, optionally with source and target exchanged (so that a solver may take the smaller side for its
// rows).
//
// Points are converted to double once, (n + m) d doubles; targets are transposed in blocks [d, 32], so that a tile of 4
// rows by 32 columns is accumulated in registers: 16 subtractions and 16 multiply-adds for every 4 loads.
#pragma once

#include <cstdint>

#include "kernels/host_vector.h"
#include "ot/cost.h"

namespace otnfm {

class CostRows {
 public:
  static constexpr int kColumnBlock = 32;

  /// Takes the problem over; memory of an earlier one is reused. The views must stay valid.
  void reset(const Problem& problem, bool exchanged);

  /// Makes room, so that point problems of at most this size allocate nothing, exchanged or not.
  void reserve(std::int64_t n, std::int64_t m, std::int64_t d);

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }

  /// One cost.
  double at(std::int64_t i, std::int64_t j) const;

  /// out[(i - first) * stride + j] = C(i, j) for i in [first, first + count) and every column j.
  void tile(std::int64_t first, std::int64_t count, double* out, std::int64_t stride) const;

 private:
  void point_tile(std::int64_t first, std::int64_t count, double* out, std::int64_t stride) const;
  void matrix_tile(std::int64_t first, std::int64_t count, double* out, std::int64_t stride) const;

  Problem problem_;
  bool exchanged_ = false;
  std::int64_t rows_ = 0, columns_ = 0, dimension_ = 0;
  HostVector<double> source_;         // [rows, d]
  HostVector<double> target_blocks_;  // [ceil(columns / 32), d, 32], the last block padded with zeros
};

}  // namespace otnfm
