// What both backends of fixed_point_step share: the state between steps, the small system, and the work on one element.
#pragma once

#include "kernels/device/math.h"
#include "kernels/device/small_system.h"
#include "kernels/fixed_point_step.h"

namespace otnfm {

struct FixedPoint {
  static constexpr int kDepth = FixedPointStep::kDepth;
  static constexpr double kMixFrom = 0.5;   // an error below which the map is about linear
  static constexpr double kMostGrowth = 3;  // of the error over its least, before mixing starts anew
  static constexpr double kRidge = 1e-10;   // relative: differences of residuals become parallel towards the end

  static constexpr double kMostStalled = 12;  // mixed steps without a new least error, after which plain ones follow
  // An error within this factor of the least counts as a new least: plain steps may move v far at nearly the same error
  // (by one unit of an exponent a step), and then the last v is the best.
  static constexpr double kAboutTheLeast = 1.01;
  static constexpr double kFirstPlain = 4, kMostPlain = 4096;

  // The state. count: steps in the history; plain: steps to come without mixing, and how many they will be next time;
  // stalled: mixed steps since the least error.
  double error, iterations, least, count, plain, next_plain, stalled;
  bool stays, reverts, improves, mixes, relaxes;  // what this step does; improves: v has the least error so far
  int depth;                                      // differences in the history, with this step's
  int slot;                                       // of this step's difference, where there is one

  /// From the state before the step and the error of v.
  OTNFM_HD static FixedPoint open(const FixedPointStep& a, double error) {
    const double* state = a.state.data;
    FixedPoint p{error, state[1], state[2], state[3], state[4], state[5], state[6],
                 false, false,    false,    false,    1,        0,        0};
    const bool first = p.iterations == 0;
    if (first) p.next_plain = kFirstPlain;
    p.stays = error <= a.tolerance;
    p.improves = first || error <= kAboutTheLeast * p.least;
    p.stalled = first || error < p.least || p.plain > 0 ? 0 : p.stalled + 1;
    p.least = first || error < p.least ? error : p.least;
    p.reverts = (a.mixing || a.relaxation > 1) && !p.stays && error > kMostGrowth * p.least;
    if (p.reverts || p.stalled > kMostStalled) {
      p.count = 0;
      p.plain = p.next_plain;
      p.next_plain = p.next_plain < kMostPlain ? 2 * p.next_plain : kMostPlain;
      p.stalled = 0;
    } else if (p.plain > 0) {
      p.plain -= 1;
    } else {
      p.mixes = a.mixing && !p.stays && error < kMixFrom;
      p.relaxes = !a.mixing && !p.stays && a.relaxation > 1 && error < kMixFrom;
    }
    p.depth = p.mixes ? static_cast<int>(p.count < kDepth ? p.count : kDepth) : 0;
    p.slot = p.count > 0 ? (static_cast<int>(p.count) - 1) % kDepth : 0;
    return p;
  }

  OTNFM_HD void close(const FixedPointStep& a) const {
    double* state = a.state.data;
    state[0] = error;
    if (stays) return;
    state[1] = iterations + 1;
    state[2] = least;
    state[3] = mixes ? count + 1 : 0;
    state[4] = plain;
    state[5] = next_plain;
    state[6] = stalled;
  }

  /// Element j's entries of the history: differences of T(v) and of residuals; after them come the last T(v), the last
  /// residual, and T(v) of the best v.
  OTNFM_HD static double& mapped_step(const FixedPointStep& a, int k, std::int64_t j) { return a.history.row(k)[j]; }
  OTNFM_HD static double& residual_step(const FixedPointStep& a, int k, std::int64_t j) {
    return a.history.row(kDepth + k)[j];
  }

  /// Takes element j into the history and adds its share to the products of this step's difference of residuals, and of
  /// this residual, with all differences.
  OTNFM_HD void remember(const FixedPointStep& a, std::int64_t j, double (&change_with)[kDepth],
                         double (&residual_with)[kDepth]) const {
    double& last_mapped = a.history.row(2 * kDepth)[j];
    double& last_residual = a.history.row(2 * kDepth + 1)[j];
    const double mapped = a.mapped.data[j], residual = mapped - a.v.data[j];
    const double weight = static_cast<double>(a.marginal.data[j]);
    if (depth > 0) {
      const double change = residual - last_residual;
      mapped_step(a, slot, j) = mapped - last_mapped;
      residual_step(a, slot, j) = change;
      for (int k = 0; k < depth; ++k) {
        const double other = weight * residual_step(a, k, j);
        change_with[k] += other * change;
        residual_with[k] += other * residual;
      }
    }
    last_mapped = mapped;
    last_residual = residual;
  }

  /// gamma, of the normal equations by elimination: they are symmetric and positive definite with the ridge, so no
  /// pivoting. Where they are mostly rounding, all of gamma is 0, and the step is a plain one.
  OTNFM_HD void solve(const FixedPointStep& a, const double (&change_with)[kDepth],
                      const double (&residual_with)[kDepth], double (&gamma)[kDepth]) {
    double* const products = a.state.data + 8;
    double matrix[kDepth][kDepth], right[kDepth];
    for (int k = 0; k < depth; ++k) products[slot * kDepth + k] = products[k * kDepth + slot] = change_with[k];
    for (int r = 0; r < depth; ++r) {
      for (int c = 0; c < depth; ++c) matrix[r][c] = products[r * kDepth + c];
      matrix[r][r] *= 1 + kRidge;
      right[r] = residual_with[r];
    }
    if (solve_small_system(matrix, right, depth, 1e-3 * kRidge, gamma)) return;
    for (int r = 0; r < depth; ++r) gamma[r] = 0;
    depth = 0;
    count = 0;
  }

  /// The new v_j.
  OTNFM_HD void write(const FixedPointStep& a, std::int64_t j, const double (&gamma)[kDepth]) const {
    double v = a.v.data[j];
    if (!stays) {
      double& best = a.history.row(FixedPointStep::kBestRow)[j];
      if (improves) best = a.mapped.data[j];
      v = reverts ? best : relaxes ? v + a.relaxation * (a.mapped.data[j] - v) : a.mapped.data[j];
      for (int k = 0; k < depth; ++k) v -= gamma[k] * mapped_step(a, k, j);
      a.v.data[j] = v;
    }
    const float rounded = static_cast<float>(v);
    a.rounded.data[j] = rounded;
    a.weight.data[j] =
        static_cast<float>(static_cast<double>(a.marginal.data[j]) * exp2(v - static_cast<double>(rounded)));
  }
};

}  // namespace otnfm
