// Coordinates in which data have mean 0 and deviation 1, column by column: u = (x - shift) / scale. A flow is trained,
// and its pairs and costs are taken, in them; whoever uses the flow gives and gets the data's own, raw coordinates.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/ops.h"
#include "kernels/memory.h"
#include "kernels/view.h"

namespace otnfm {

struct Standardisation {
  std::vector<float> shift, scale;  ///< [d] each, scale > 0; both empty: u = x, bit for bit

  bool identity() const { return shift.empty(); }

  /// u = (x - shift) / scale and x = shift + scale u, rounded once from double. [n, d], rows contiguous; the output may
  /// be the input.
  void apply(View<const float> x, View<float> u) const;
  void undo(View<const float> u, View<float> x) const;

  /// sum_j log scale_j = log|det dx/du|
  double log_volume() const;

  /// A column whose data are one and the same number. Its scale is so small that undo() gives that number back.
  std::optional<std::int64_t> constant_column() const;
  /// The scale of such a column.
  static float scale_of_constant(float value);
};

/// A flow's two ends, each with its own. On the way the coordinates lie between:
///     F_raw(t, x) = (1 - t) source.undo(u) + t target.undo(u),   u = F(t, source.apply(x)),
/// so that F_raw(0, x) is x (up to rounding) and F_raw(1, x) lies among the data.
struct FlowCoordinates {
  Standardisation source, target;

  bool identity() const { return source.identity() && target.identity(); }

  /// Row by row, between F's output u and F_raw's y at time t [n, 1]. [n, d], rows contiguous; may be the same memory.
  void leave(View<const float> t, View<const float> u, View<float> y) const;
  void enter_at(View<const float> t, View<const float> y, View<float> u) const;

  /// dy_j/du_j at time t.
  double stretch(float t, std::int64_t j) const;
  /// du_j/dx_j at the source.
  double entry(std::int64_t j) const;
  /// log|det dF_raw/dx| - log|det dF/du| at time t, of d columns.
  double log_volume(float t, std::int64_t d) const;
};

/// Standardisation as ops of a tape, on its device.
class StandardisationOps {
 public:
  /// For tensors of at most `rows` rows. It must outlive the tapes that it records on.
  StandardisationOps(const Standardisation& standardisation, Device device, std::int64_t rows);

  /// (x - shift) (1 / scale), or x itself where it is the identity; no gradient flows through.
  Tensor apply(Tape& tape, Tensor x) const;
  /// scale u + shift
  Tensor undo(Tape& tape, Tensor u) const;

  /// Hands over the memory that the recorded ops read, to an owner that outlives this object.
  Memory memory() && { return std::move(memory_); }

 private:
  Memory memory_;
  View<float> shift_, negative_shift_;  // [d]
  View<float> scale_, inverse_;         // [rows, d], every row the same
};

}  // namespace otnfm
