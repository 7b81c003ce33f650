// Optimizer: what a gradient does to the weights, as ops of a training step's tape: the gradient's norm and clipping,
// AdamW with its schedule, the weights' moving average. It owns the step counter, which all draws of a step are
// numbered by.
#pragma once

#include <cstdint>

#include "engine/core/parameters.h"
#include "engine/core/tape.h"
#include "engine/train/options.h"
#include "kernels/memory.h"
#include "kernels/stream.h"

namespace otnfm {

class Optimizer {
 public:
  /// Outlives the tapes that it records on.
  Optimizer(const TrainingOptions& options, Device device);

  /// Records the update by parameters.gradients(), and the end of the step.
  void record(Tape& tape, const Parameters& parameters);

  /// [1] Steps done, on the device.
  View<const std::uint64_t> step() const { return step_; }
  /// Waits.
  void set_step(Stream& stream, std::uint64_t step);

  /// [1] Of the step run last, before clipping; on the device.
  View<const float> gradient_norm() const { return norm_; }
  /// Of the step after `step` others.
  double learning_rate(std::uint64_t step) const;

 private:
  Schedule schedule_;
  float max_norm_, weight_decay_, beta2_, ema_decay_;
  Memory counters_;
  View<std::uint64_t> step_;
  View<float> norm_, clip_scale_;
};

}  // namespace otnfm
