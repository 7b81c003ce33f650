// The inverse of a flow in x, block by block from the last to the first: in closed form where the family has one, else
// by the fixed point x = y - (block(t, x) - x) (Behrmann et al., "Invertible Residual Networks", ICML 2019, algorithm
// 1), which converges at the rate of the residual's Lipschitz constant, or by Anderson mixing of it
// (kernels/inverse_step.h).
//
// A residual of (1 - c) times the distance is left where the contraction is c, so the tolerance is near the rounding of
// float32. Mixing takes 3 to 7 times fewer evaluations where the contraction is slow (a block that contracts by 0.97
// everywhere, d = 64: 252 plain, 78 mixed; d = 2: 292 and 43), and no more where it is fast
// (tests/layers/maps/inverse.cpp prints both with OTNFM_VERBOSE=1): it is the default.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "layers/flows/flow.h"
#include "layers/maps/flow_map.h"

namespace otnfm {

struct InverseOptions {
  /// Of ||block(t, x) - y|| to the larger of ||x||, ||y|| and the root mean square of the rows' norms, for every row. A
  /// row that rounding keeps above it, near 0 say, may be left with 50 times as much: the report says so.
  double tolerance = 2e-7;
  int max_iterations = 1000;  ///< evaluations of a block
  bool mixing = true;         ///< Anderson's, for rows on their own; false: plain steps
};

/// What the last call took.
struct InverseReport {
  double residual = 0;          ///< the largest relative residual that a row was left with; 0 in closed form
  std::vector<int> iterations;  ///< of each block, the most over batches; empty in closed form
};

class FlowInverse {
 public:
  /// The flow's parameters lie on `device`; it outlives this. `batch` rows at a time. InputError where the family does
  /// not invert: it says which do.
  FlowInverse(Flow& flow, Device device, std::int64_t batch = 4096, const InverseOptions& options = {});
  ~FlowInverse();

  /// x with F(t, x) = y, row by row, in raw coordinates (Flow::coordinates). t [n, 1], y [n, d] -> x [n, d], all in
  /// host memory; x may be y. Any n. InputError for other shapes and for numbers that are not finite; RunError where a
  /// block does not converge, with the block, the residual and the iterations.
  void operator()(View<const float> t, View<const float> y, View<float> x);

  /// The same of F itself, in its own coordinates.
  void standardised(View<const float> t, View<const float> y, View<float> x);

  const InverseReport& report() const { return report_; }

 private:
  struct FixedPoint;
  void solve_fixed_points(std::int64_t count, double scale);

  std::int64_t dimension_, block_count_;
  FlowCoordinates coordinates_;
  InverseOptions options_;
  Stream stream_;
  FlowBatch batch_;             // y, and after a fixed point x
  std::unique_ptr<Tape> tape_;  // closed form
  Tensor x_;
  std::unique_ptr<FixedPoint> fixed_point_;
  InverseReport report_;
};

/// F(s -> t) = F(t, F(s)^-1): the way that the flow takes from time s to time t.
class FlowTransition {
 public:
  FlowTransition(Flow& flow, Device device, std::int64_t batch = 4096, const InverseOptions& options = {})
      : inverse_(flow, device, batch, options), map_(flow, device, batch) {}

  /// out = F(t, F(s, .)^-1(x)), row by row. s, t [n, 1], x [n, d] -> out [n, d]; errors as of FlowInverse.
  void operator()(View<const float> s, View<const float> t, View<const float> x, View<float> out) {
    inverse_(s, x, out);
    map_(t, out, out);
  }

 private:
  FlowInverse inverse_;
  FlowMap map_;
};

/// InputError that says which families invert, where this one does not. `flow`'s family by its configuration.
void require_invertible(const Flow& flow);

}  // namespace otnfm
