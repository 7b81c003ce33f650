// One weight's AdamW update (kernels/adamw.h), once for every backend.
#pragma once

#include "kernels/device/math.h"
#include "kernels/device/schedule.h"

namespace otnfm {

/// What all weights of a step share.
struct AdamWStep {
  float clip_scale;
  float beta1, rest1, beta2, rest2;  // rest = 1 - beta
  float learning_rate;
  float first_scale, second_scale;  // 1 / (1 - beta^(k+1))
  float epsilon;
  float ema_rest;  // 1 - d
};

/// 1 / (1 - beta^(k+1)) by expm1, because 1 - beta^(k+1) itself cancels at the first steps.
OTNFM_HD float bias_correction(double log_beta, std::uint64_t step) {
  return static_cast<float>(-1.0 / expm1(static_cast<double>(step + 1) * log_beta));
}

/// `a` is an AdamW; log_beta are the logarithms of its betas, which the host works out.
template <class Arguments>
OTNFM_HD AdamWStep adamw_step(const Arguments& a, float clip_scale, double log_beta1, double log_beta2,
                              std::uint64_t k) {
  // 1 - min(decay, (1 + k) / (10 + k))
  const float rest = 1.0f - a.ema_decay, early = static_cast<float>(9.0 / (10.0 + static_cast<double>(k)));
  return {.clip_scale = clip_scale,
          .beta1 = a.beta1,
          .rest1 = 1.0f - a.beta1,
          .beta2 = a.beta2,
          .rest2 = 1.0f - a.beta2,
          .learning_rate = learning_rate(a.schedule, k),
          .first_scale = bias_correction(log_beta1, k),
          .second_scale = bias_correction(log_beta2, k),
          .epsilon = a.epsilon,
          .ema_rest = rest > early ? rest : early};
}

/// g is the gradient before it is clipped.
OTNFM_HD void adamw_update(const AdamWStep& s, float decay, float g, float& value, float& m, float& v, float& ema) {
  g *= s.clip_scale;
  m = fma_rn(s.beta1, m, s.rest1 * g);
  v = fma_rn(s.beta2, v, s.rest2 * g * g);
#if OTNFM_ON_GPU
  const float root = sqrtf(v * s.second_scale);
#else
  const float root = __builtin_sqrtf(v * s.second_scale);
#endif
  const float direction = fma_rn(decay, value, m * s.first_scale / (root + s.epsilon));
  value = fma_rn(-s.learning_rate, direction, value);
  ema = fma_rn(s.ema_rest, value - ema, ema);
}

}  // namespace otnfm
