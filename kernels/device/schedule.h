// The learning rate as a function of the step: evaluated where the step counter lives, so that a captured graph follows
// it.
#pragma once

#include <cstdint>

#include "kernels/device/math.h"

namespace otnfm {

struct Schedule {
  enum class Kind : int { constant, cosine } kind = Kind::constant;
  float base = 1e-3f;           ///< the rate after the warm-up
  float final_fraction = 0.0f;  ///< cosine: of base, at the last step
  std::int64_t warmup = 0;      ///< steps of linear growth from base / warmup
  std::int64_t total = 0;       ///< cosine: steps in all, the warm-up included
};

/// step counts from 0.
OTNFM_HD float learning_rate(const Schedule& s, std::uint64_t step) {
  const std::int64_t k = static_cast<std::int64_t>(step);
  if (k < s.warmup) return s.base * static_cast<float>(k + 1) / static_cast<float>(s.warmup);
  if (s.kind == Schedule::Kind::constant) return s.base;
  const std::int64_t length = s.total - s.warmup;
  const float progress =
      length <= 0 || k >= s.total ? 1.0f : static_cast<float>(k - s.warmup) / static_cast<float>(length);
  float sine, cosine;
  sincos_turns(0.5f * progress, sine, cosine);
  return s.base * (s.final_fraction + (1.0f - s.final_fraction) * 0.5f * (1.0f + cosine));
}

}  // namespace otnfm
