// One step towards the x with f(x) = y, for every row by itself, where f(x) - x is a contraction. With r = y - f(x):
//     x <- x + r                                       the fixed point of x = y - (f(x) - x), or
//     x <- x + r - sum_k gamma_k (dx_k + dr_k)         Anderson's mixing (1965) of the last kDepth steps,
// dx_k and dr_k the differences between evaluations in a row, gamma the least squares of r - sum_k gamma_k dr_k. The
// rows have Jacobians of their own, so each has a gamma of its own: in d dimensions d differences make a secant method.
// A step that did not lower ||r|| is taken back, and a plain one from the best x so far follows: a contraction lowers
// ||r||, so mixing is never lost for long. A row whose error is within the tolerance takes this one step more and then
// stays, and so does one whose error is near it and no longer falls: what is left is the rounding of f, large beside a
// row near 0.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct InverseStep {
  static constexpr const char* kName = "inverse_step";
  static constexpr int kDepth = 5;                        // differences that are mixed
  static constexpr int kHistoryRows = 2 * kDepth + 2;     // dx, dr; the last x and r
  static constexpr int kStateSize = 6 + kDepth * kDepth;  // see kernels/device/inverse_step.h

  View<const float> y;      // [B, d]
  View<const float> image;  // [B, d] f(x)
  View<float> x;            // [B, d] in and out
  View<float> history;      // [B, kHistoryRows * d], the op's own
  View<double> state;       // [B, kStateSize], the op's own; zeros make it start anew
  /// [B, 2]: ||r|| / max(||x||, ||y||, scale) of the x that the step was given; 1 where the row stays from now on
  View<float> outcome;
  bool mixing = true;
  float tolerance = 0;
  float scale = 0;  // the size of a row that is not small, in the units of y
};
OTNFM_DECLARE_OP(inverse_step, InverseStep);

}  // namespace otnfm
