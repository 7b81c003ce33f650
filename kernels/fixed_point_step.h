// The next potentials of Sinkhorn's iteration v = T(v), without the host: T(v) itself, or Anderson's mixing, the
// combination of the last few T(v) whose residuals T(v) - v, so combined, are least in a weighted sum of squares. For a
// nearly linear T that is GMRES, and takes a third to an eighth of the plain steps. Where it leads astray, the step
// goes back to T(v) of the v with the least error so far; there, and where it gets nowhere, plain steps follow, twice
// as many every time: so it still arrives where T is far from linear, which is where epsilon is below the gaps between
// costs. Once the error is within the tolerance v stays, and the iterations that follow before the host looks change
// nothing.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct FixedPointStep {
  static constexpr const char* kName = "fixed_point_step";
  static constexpr int kDepth = 6;  // earlier iterations that are mixed
  static constexpr int kHistoryRows = 2 * kDepth + 3;
  static constexpr int kStateSize = 8 + kDepth * kDepth;

  View<double> v;               // [m] in and out
  View<const double> mapped;    // [m] T(v)
  View<const double> residual;  // [m] shares of the error of v
  View<const float> marginal;   // [m] weights of the sum of squares; and of
  View<float> rounded, weight;  // [m] the new v as a SoftSource, see kernels/soft_transform.h
  View<double> history;         // [kHistoryRows, m], the op's own but for kBestRow
  View<double> state;           // [kStateSize], the op's own; zeros make it start anew
  bool mixing = true;
  double relaxation = 1;  // without mixing: v goes to v + relaxation (T(v) - v), in [1, 2), once the error is below 1/2
  double tolerance = 0;

  // Of the state, for the host to read:
  static constexpr int kError = 0;                 // of the v that the last step was given
  static constexpr int kIterations = 1;            // steps that changed v
  static constexpr int kBestRow = 2 * kDepth + 2;  // of the history: T(v) of the v with the least error so far
};
OTNFM_DECLARE_OP(fixed_point_step, FixedPointStep);

}  // namespace otnfm
