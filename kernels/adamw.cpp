#include "kernels/adamw.h"

#include <cmath>

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const AdamW& a) {
  require(a.value.rank == 1, a.kName, "value must be a vector", describe(a.value));
  const std::int64_t n = a.value.shape[0];
  require_vector(a.kName, "value", a.value, n);
  require_vector(a.kName, "m", a.m, n);
  require_vector(a.kName, "v", a.v, n);
  require_vector(a.kName, "ema", a.ema, n);
  if (a.working.data) require_vector(a.kName, "working", a.working, n);
  require_vector(a.kName, "gradient", a.gradient, n);
  if (a.clip_scale.data) require_vector(a.kName, "clip_scale", a.clip_scale, 1);
  require_vector(a.kName, "step", a.step, 1);
  require(a.decayed >= 0 && a.decayed <= n, a.kName, "decayed must be in 0 .. n", std::to_string(a.decayed));
  require(a.beta1 >= 0 && a.beta1 < 1 && a.beta2 >= 0 && a.beta2 < 1, a.kName, "beta1 and beta2 must be in [0, 1)",
          std::to_string(a.beta1) + ", " + std::to_string(a.beta2));
  require(a.epsilon >= 0 && std::isfinite(a.epsilon), a.kName, "epsilon must be finite and not negative",
          std::to_string(a.epsilon));
  require(a.weight_decay >= 0 && std::isfinite(a.weight_decay), a.kName, "weight_decay must be finite and not negative",
          std::to_string(a.weight_decay));
  require(a.ema_decay >= 0 && a.ema_decay <= 1, a.kName, "ema_decay must be in [0, 1]", std::to_string(a.ema_decay));
}

void check(const AdvanceStep& a) {
  require_vector(a.kName, "step", a.step, 1);
}

}  // namespace

OTNFM_DISPATCH_OP(adamw, AdamW);
OTNFM_DISPATCH_OP(advance_step, AdvanceStep);

}  // namespace otnfm
