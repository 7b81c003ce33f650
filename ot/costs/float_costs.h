// All costs of a problem in float32, for decisions that need no more. Squared distances and dot products in some
// dimensions come from one matrix product, |y_j|^2 - 2 x_i . y_j of centred points: 2 n m d FLOPs at the speed of
// float32 products, some eight times that of differences in double. |x_i|^2 changes no decision and is kept apart.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/cost.h"
#include "ot/costs/cost_columns.h"
#include "ot/costs/panels.h"

namespace otnfm {

class FloatCosts {
 public:
  /// Takes the problem over; `costs` is used where no product serves, and set to the problem then.
  /// Throws SolveStopped once the limits are reached.
  void reset(const Problem& problem, bool exchanged, CostColumns& costs, int threads, const SolveLimits& limits);

  /// The factors of the product alone, for a device that multiplies itself: matrix() = source target^T + bias. Squared
  /// distances or dot products.
  void prepare(const Problem& problem, bool exchanged);
  std::span<const float> source() const { return source_; }  ///< [rows, d]
  std::span<const float> target() const { return target_; }  ///< [columns, d]
  std::span<const float> bias() const { return bias_; }      ///< [columns]

  std::span<const float> matrix() const { return matrix_; }     ///< [rows, columns], without the offsets
  std::span<const double> offsets() const { return offsets_; }  ///< [rows], or empty
  double offset_sum() const { return offset_sum_; }
  /// A size that the error of the sum of `rows` of these costs can be expected to stay below (see the source); that of
  /// storing them is not in it.
  double rounding() const { return rounding_; }

 private:
  void multiply(std::int64_t rows, std::int64_t columns, std::int64_t d, int threads, const SolveLimits& limits);

  HostVector<float> matrix_, source_, target_, bias_;
  HostVector<double> offsets_;
  double offset_sum_ = 0, rounding_ = 0;
  Panels panels_;  // of target_
};

}  // namespace otnfm
