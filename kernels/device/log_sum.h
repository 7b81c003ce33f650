// A sum of w 2^e with its mean of s, kept relative to the largest exponent so far: no exponent is out of range.
#pragma once

#include "kernels/device/math.h"
#include "kernels/soft_transform.h"

namespace otnfm {

struct LogSum {
  // Below every exponent, but finite, so that its difference from a column's kNoWeight is not NaN.
  static constexpr float kNone = -3e38f;
  static constexpr float kNoWeight = -std::numeric_limits<float>::infinity();

  float highest;
  float sum;     // of w 2^(e - highest)
  float moment;  // of w 2^(e - highest) s

  OTNFM_HD static LogSum none() { return {kNone, 0.0f, 0.0f}; }

  /// The largest exponent of the terms that add() is given next.
  OTNFM_HD void raise(float exponent) {
    if (!(exponent > highest)) return;
    const float factor = exp2_of(highest - exponent);
    sum *= factor;
    moment *= factor;
    highest = exponent;
  }

  template <bool kMean>
  OTNFM_HD void add(float exponent, float weight, float s) {
    const float mass = weight * exp2_of(exponent - highest);
    sum += mass;
    if (kMean) moment += mass * s;
  }

  OTNFM_HD void add(const LogSum& other) {
    raise(other.highest);
    const float factor = exp2_of(other.highest - highest);
    sum += other.sum * factor;
    moment += other.moment * factor;
  }
};

/// The exponent of a source's column; kNoWeight for a column without weight, which so is never the largest.
OTNFM_HD float exponent_of(const SoftSource& source, std::int64_t j) {
  return source.weight.data[j] > 0 ? source.rounded.data[j] : LogSum::kNoWeight;
}

/// A change of an exponent counts for at most this in a residual, so that a sum of residuals stays finite, however far
/// from the answer.
inline constexpr double kMostChange = 60;

/// The update of target i, given its sum.
OTNFM_HD void update_target(const SoftTarget& target, std::int64_t i, const LogSum& row) {
  const double before = target.before.data[i], marginal = static_cast<double>(target.marginal.data[i]);
  double after = -(static_cast<double>(row.highest) + log2(static_cast<double>(row.sum)));
  if (target.damping != 1) after = target.damping * (after + target.offset.data[i]) - target.offset.data[i];
  const float rounded = static_cast<float>(after);
  target.after.data[i] = after;
  target.rounded.data[i] = rounded;
  target.weight.data[i] = static_cast<float>(marginal * exp2(after - static_cast<double>(rounded)));
  const double change = before - after;
  target.residual.data[i] = marginal * fabs(exp2(change < kMostChange ? change : kMostChange) - 1);
  if (target.mean.data != nullptr) target.mean.data[i] = static_cast<double>(row.moment / row.sum);
}

}  // namespace otnfm
