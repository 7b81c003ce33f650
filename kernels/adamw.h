// AdamW (Loshchilov and Hutter, ICLR 2019) and an exponential moving average of the weights, for all parameters in one
// pass over flat vectors: 36 bytes (38 with a working copy) and about 20 FLOPs a weight, bound by memory. The step
// counter and the clipping factor are read on the device, so that a captured graph can be replayed step after step as
// it is.
#pragma once

#include "kernels/device/schedule.h"
#include "kernels/op.h"

namespace otnfm {

/// With k the step (from 0), s the clip scale, lr = learning_rate(schedule, k):
///   g = s gradient,  m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,
///   value -= lr (m / (1 - beta1^(k+1)) / (sqrt(v / (1 - beta2^(k+1))) + epsilon) + decay_i value),
///   ema += (1 - d) (value - ema), d = min(ema_decay, (1 + k) / (10 + k)).
/// decay_i is weight_decay for the first `decayed` weights and 0 for the rest (biases, time functions). If s is NaN (a
/// gradient was not finite) nothing is written.
struct AdamW {
  static constexpr const char* kName = "adamw";
  View<float> value, m, v, ema;       // [n], read and written
  View<bfloat16> working = {};        // [n], or no memory: value, rounded, which products of bfloat16 read
  View<const float> gradient;         // [n]
  View<const float> clip_scale = {};  // [1], or no memory: 1
  View<const std::uint64_t> step;     // [1]
  std::int64_t decayed = 0;
  Schedule schedule;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float weight_decay = 0;
  float ema_decay = 0.999f;
};
OTNFM_DECLARE_OP(adamw, AdamW);

/// step += 1: the last op of a training step.
struct AdvanceStep {
  static constexpr const char* kName = "advance_step";
  View<std::uint64_t> step;  // [1]
};
OTNFM_DECLARE_OP(advance_step, AdvanceStep);

}  // namespace otnfm
