// The schedule of epsilon that both backends of sinkhorn_resident follow.
#pragma once

#include "kernels/device/math.h"
#include "kernels/sinkhorn_resident.h"

namespace otnfm {

struct SinkhornStage {
  static constexpr float kTolerance = 0.1f;  // of a stage that is not the last
  static constexpr int kIterations = 12;     // and its most iterations

  float epsilon;
  bool last;
  int iterations;  // in this stage

  OTNFM_HD static SinkhornStage first(const SinkhornResident& a) {
    float epsilon = a.epsilon;
    while (epsilon < a.first_epsilon * a.factor) epsilon /= a.factor;
    return {epsilon, epsilon <= a.epsilon, 0};
  }

  /// Counts an iteration that ended with this error. True where the solve ends with it.
  OTNFM_HD bool ends(const SinkhornResident& a, float error, std::int32_t all_iterations) {
    ++iterations;
    if ((last && error <= a.tolerance) || all_iterations >= a.max_iterations) return true;
    if (!last && (error <= kTolerance || iterations >= kIterations)) {
      epsilon *= a.factor;
      last = epsilon <= a.epsilon * 1.0001f;
      if (last) epsilon = a.epsilon;
      iterations = 0;
    }
    return false;
  }
};

/// A change of a potential in exponents, as its share of the L1 error of a marginal of `count` points.
OTNFM_HD float marginal_share(float before, float after, float scale, std::int64_t count) {
  const float change = (before - after) * scale;
  const float grown = exp2_of(change < 60.0f ? change : 60.0f) - 1.0f;
  return (grown < 0 ? -grown : grown) / static_cast<float>(count);
}

}  // namespace otnfm
