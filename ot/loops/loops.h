// The innermost loops of ot/, compiled for each processor and chosen when the program runs (kernels/host/processor.h).
// They allocate nothing, throw nothing and know no threads. Sums are taken in an order that is written down, over 16
// floats or 8 doubles whatever the width of the registers, so AVX2 and AVX-512 give the same bits.
#pragma once

#include <cstdint>

#include "kernels/host/processor.h"
#include "ot/cost.h"

namespace otnfm {

inline constexpr int kPairColumns = 32;   // of a block of columns in double, [depth, 32]
inline constexpr int kPanelColumns = 16;  // of a panel of columns in float, [depth, 16]
inline constexpr int kMinimaLanes = 8;    // minima of a row that are kept apart until the last column
inline constexpr int kFloatBlock = 16;    // floats that rows of exponents are padded to

struct Loops {
  // --- Costs of pairs in double: ot/loops/pair_costs.h. Euclidean distances are left squared.

  /// sums[r][c] = (or, where `more`, +=) the terms of `depth` coordinates of the rows r (x_stride apart) and the
  /// columns c of one block.
  void (*pair_costs)(Cost kind, const double* x, std::int64_t x_stride, std::int64_t rows, const double* block,
                     std::int64_t depth, bool more, double* sums, std::int64_t sums_stride);

  /// minima[r][c % 8] = min(itself, C(r, c) - bias[c]) and largest[c % 8] = max(itself, |C(r, c)|), over one block.
  void (*row_minima)(Cost kind, const double* x, std::int64_t rows, const double* block, std::int64_t d,
                     const double* bias, double* minima, double* largest);

  /// C(x, y), to the rounding of a sum.
  double (*pair_cost)(Cost kind, const double* x, const double* y, std::int64_t d);

  // --- Products in float: ot/loops/product.h

  /// out[r][c] = sum_k x[r][k] y[c][k], each a chain of `d` fused multiply-adds in the order of k. `panels` holds y as
  /// [ceil(columns / 16)][d][16]; out may be written up to the next multiple of 16 columns.
  void (*product)(const float* x, std::int64_t rows, std::int64_t d, const float* panels, std::int64_t columns,
                  float* out, std::int64_t out_stride);

  /// Which of a row's columns may have the least value: v_j = bias_j - factor product_j is within e_j = size target_j +
  /// slack_j of what it stands for. See ot/costs/row_minima.cpp.
  struct Screen {
    const float *bias, *target, *slack;  ///< [columns]
    const float* cost;                   ///< [columns] of which cost_j - factor product_j is the cost without the row's
    float factor, size;
  };
  /// For columns [0, count), a multiple of 16: the least v_j + e_j in `ceiling` (which is read, too), and in `least`
  /// and `most` likewise the extremes of the costs. Returns how many j with v_j - e_j <= ceiling were written to `at`
  /// and `low`; at the most `room`, more of them are not looked for, and room + 1 is returned.
  std::int64_t (*screen)(const Screen& screen, const float* product, std::int64_t count, float* ceiling, float* least,
                         float* most, std::int64_t room, std::int32_t* at, float* low);

  // --- Rows of Sinkhorn's kernel: ot/loops/sinkhorn_rows.h. `stride`, a multiple of 16, is the length of a row; k, v,
  // weight and e are such rows.

  /// e_j = 2^(u + v_j + ratio k_j); returns sum_j weight_j e_j.
  double (*exponentials)(const float* k, std::int64_t stride, const float* v, const float* weight, float u, float ratio,
                         float* e);
  /// max_j of v_j + ratio k_j over the columns with weight.
  float (*highest_exponent)(const float* k, std::int64_t stride, const float* v, const float* weight, float ratio);
  /// sums_j += sum_r scale_r e_rj over 1 to 4 rows.
  void (*add_rows)(const float* e, std::int64_t stride, int rows, const float* scale, float* sums);
  /// sums_j 2^highest_j += factor 2^(u + v_j + ratio k_j), with a new highest_j where that is higher.
  void (*add_stably)(const float* k, std::int64_t stride, const float* v, float u, float ratio, float factor,
                     float* sums, float* highest);
  /// Returns sum_j weight_j e_j k_j; the largest weight_j e_j in `largest`.
  double (*plan_row)(const float* e, const float* weight, const float* k, std::int64_t stride, float* largest);

  static const Loops portable, avx2, avx512;
};

/// Those for this machine.
inline const Loops& loops() {
  return host::best<Loops>();
}

}  // namespace otnfm
