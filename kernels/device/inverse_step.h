// What both backends of inverse_step share: the state of a row, the small system, and the work on one element.
#pragma once

#include "kernels/device/math.h"
#include "kernels/device/small_system.h"
#include "kernels/inverse_step.h"

namespace otnfm {

struct InverseRow {
  static constexpr int kDepth = InverseStep::kDepth;
  static constexpr double kRidge = 1e-10;  // relative: differences of residuals become parallel towards the end

  static constexpr double kStalled = 24;       // steps in which ||r|| did not fall by a tenth
  static constexpr double kMostRounding = 50;  // tolerances that may be left then

  // The state: the least ||r||^2; differences in the history, counted beyond its length; what the last step was;
  // ||r||^2 when it last fell by a tenth, and the steps since. Behind it the products of the differences of residuals.
  enum Last { none = 0, moved = 1, reverted = 2, arrived = 3 };
  static constexpr int kProducts = 6;
  double least, count;
  int last;
  double mark, stalled;

  double error;
  bool stays, reverts, arrives;
  int depth;  // differences in the history, with this step's
  int slot;   // of this step's difference, where there is one

  /// Sums over the row of r^2, x^2 and y^2.
  OTNFM_HD static InverseRow open(const InverseStep& a, std::int64_t i, double rr, double xx, double yy) {
    const double* state = a.state.row(i);
    InverseRow row{state[0], state[1], static_cast<int>(state[2]), state[3], state[4], 0, false, false, false, 0, 0};
    const double size = xx > yy ? xx : yy, least_size = static_cast<double>(a.scale) * static_cast<double>(a.scale);
    row.error = rr == 0 ? 0 : sqrt(rr / (size > least_size ? size : least_size));
    row.stays = row.last == arrived;
    const bool falls = row.last == none || rr < 0.81 * row.mark;
    row.mark = falls ? rr : row.mark;
    row.stalled = falls ? 0 : row.stalled + 1;
    // After a step that was taken back comes a plain one, which is kept in any case: else the two would alternate for
    // ever.
    row.reverts = a.mixing && row.last == moved && !(rr < row.least);
    const double tolerance = static_cast<double>(a.tolerance);
    row.arrives =
        row.stays || row.error <= tolerance || (row.stalled >= kStalled && row.error <= kMostRounding * tolerance);
    // The last step is plain, since no step after it could take a mixed one back.
    if (row.arrives || row.reverts || !a.mixing) return row;
    row.least = rr;
    if (row.last != none) {
      const std::int64_t d = a.x.columns();
      const int most = d < kDepth ? static_cast<int>(d) : kDepth;
      row.slot = static_cast<int>(row.count) % most;
      row.count += 1;
      row.depth = row.count < most ? static_cast<int>(row.count) : most;
    }
    return row;
  }

  OTNFM_HD void close(const InverseStep& a, std::int64_t i) const {
    a.outcome.row(i)[1] = arrives ? 1.0f : 0.0f;
    if (stays) return;  // the error stays what it was when the row arrived
    a.outcome.row(i)[0] = static_cast<float>(error);
    double* state = a.state.row(i);
    state[0] = least;
    state[1] = reverts ? 0 : count;
    state[2] = arrives ? arrived : reverts ? reverted : moved;
    state[3] = mark;
    state[4] = stalled;
  }

  OTNFM_HD static float& x_step(const InverseStep& a, std::int64_t i, int k, std::int64_t j) {
    return a.history.row(i)[k * a.x.columns() + j];
  }
  OTNFM_HD static float& residual_step(const InverseStep& a, std::int64_t i, int k, std::int64_t j) {
    return a.history.row(i)[(kDepth + k) * a.x.columns() + j];
  }
  OTNFM_HD static float& last_x(const InverseStep& a, std::int64_t i, std::int64_t j) {
    return a.history.row(i)[2 * kDepth * a.x.columns() + j];
  }
  OTNFM_HD static float& last_residual(const InverseStep& a, std::int64_t i, std::int64_t j) {
    return a.history.row(i)[(2 * kDepth + 1) * a.x.columns() + j];
  }

  /// Takes element j into the history and adds its share to the products of this step's difference of residuals, and of
  /// this residual, with all differences.
  OTNFM_HD void remember(const InverseStep& a, std::int64_t i, std::int64_t j, double (&change_with)[kDepth],
                         double (&residual_with)[kDepth]) const {
    const float x = a.x.row(i)[j], residual = a.y.row(i)[j] - a.image.row(i)[j];
    if (depth > 0) {
      const float change = residual - last_residual(a, i, j);
      x_step(a, i, slot, j) = x - last_x(a, i, j);
      residual_step(a, i, slot, j) = change;
      for (int k = 0; k < depth; ++k) {
        const double other = static_cast<double>(residual_step(a, i, k, j));
        change_with[k] += other * static_cast<double>(change);
        residual_with[k] += other * static_cast<double>(residual);
      }
    }
    last_x(a, i, j) = x;
    last_residual(a, i, j) = residual;
  }

  /// gamma by elimination in the normal equations, scaled to a diagonal of 1 (the differences shrink by orders of
  /// magnitude from step to step); symmetric and positive definite with the ridge, so no pivoting. Where the system is
  /// mostly rounding, all of gamma is 0 and the step is a plain one. `writes`: for one of the threads that share a row.
  OTNFM_HD void solve(const InverseStep& a, std::int64_t i, const double (&change_with)[kDepth],
                      const double (&residual_with)[kDepth], double (&gamma)[kDepth], bool writes) {
    double* const products = a.state.row(i) + kProducts;
    double matrix[kDepth][kDepth], right[kDepth], unit[kDepth];
    for (int r = 0; r < depth; ++r)
      for (int c = 0; c < depth; ++c)
        matrix[r][c] = r == slot ? change_with[c] : c == slot ? change_with[r] : products[r * kDepth + c];
    if (writes)
      for (int k = 0; k < depth; ++k) products[slot * kDepth + k] = products[k * kDepth + slot] = change_with[k];
    for (int r = 0; r < depth; ++r) {
      unit[r] = matrix[r][r] > 0 ? 1 / sqrt(matrix[r][r]) : 0;  // nothing moved: no use of this difference
      gamma[r] = 0;
    }
    for (int r = 0; r < depth; ++r) {
      for (int c = 0; c < depth; ++c) matrix[r][c] *= unit[r] * unit[c];
      matrix[r][r] = 1 + kRidge;
      right[r] = residual_with[r] * unit[r];
    }
    if (!solve_small_system(matrix, right, depth, 1e-3 * kRidge, gamma)) {
      for (int r = 0; r < depth; ++r) gamma[r] = 0;
      depth = 0;
      count = 0;
      return;
    }
    for (int r = 0; r < depth; ++r) gamma[r] *= unit[r];
  }

  /// The new x_j.
  OTNFM_HD void write(const InverseStep& a, std::int64_t i, std::int64_t j, const double (&gamma)[kDepth]) const {
    if (stays) return;
    if (reverts) {
      a.x.row(i)[j] = last_x(a, i, j) + last_residual(a, i, j);
      return;
    }
    double step = static_cast<double>(a.y.row(i)[j] - a.image.row(i)[j]);
    for (int k = 0; k < depth; ++k)
      step -= gamma[k] * (static_cast<double>(x_step(a, i, k, j)) + static_cast<double>(residual_step(a, i, k, j)));
    a.x.row(i)[j] = static_cast<float>(static_cast<double>(a.x.row(i)[j]) + step);
  }

  OTNFM_HD bool mixes(const InverseStep& a) const { return a.mixing && !arrives && !reverts; }
};

}  // namespace otnfm
