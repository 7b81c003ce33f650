#include "engine/train/optimizer.h"

#include "kernels/adamw.h"
#include "kernels/gradient_norm.h"

namespace otnfm {

Optimizer::Optimizer(const TrainingOptions& options, Device device)
    : schedule_(options.learning_rate_schedule()),
      max_norm_(static_cast<float>(options.clip_norm)),
      weight_decay_(static_cast<float>(options.weight_decay)),
      beta2_(static_cast<float>(options.beta2)),
      ema_decay_(static_cast<float>(options.ema_decay)),
      counters_(device, 64, "the step counter"),
      step_(reinterpret_cast<std::uint64_t*>(counters_.data()), {1}),
      norm_(reinterpret_cast<float*>(counters_.data() + 16), {1}),
      clip_scale_(reinterpret_cast<float*>(counters_.data() + 32), {1}) {
  Stream stream(device);
  zero_bytes(stream, counters_.data(), counters_.bytes());
  stream.synchronize();
}

void Optimizer::record(Tape& tape, const Parameters& parameters) {
  tape.record(otnfm::gradient_norm,
              GradientNorm{
                  .gradient = parameters.gradients(), .norm = norm_, .clip_scale = clip_scale_, .max_norm = max_norm_});
  tape.record(adamw, AdamW{.value = parameters.values(),
                           .m = parameters.first_moments(),
                           .v = parameters.second_moments(),
                           .ema = parameters.averages(),
                           .working = parameters.working_copies(),
                           .gradient = parameters.gradients(),
                           .clip_scale = clip_scale_,
                           .step = step_,
                           .decayed = parameters.decayed_count(),
                           .schedule = schedule_,
                           .beta2 = beta2_,
                           .weight_decay = weight_decay_,
                           .ema_decay = ema_decay_});
  tape.record(advance_step, AdvanceStep{.step = step_});
}

void Optimizer::set_step(Stream& stream, std::uint64_t step) {
  copy_bytes(stream, step_.data, &step, sizeof(step));
  stream.synchronize();
}

double Optimizer::learning_rate(std::uint64_t step) const {
  return otnfm::learning_rate(schedule_, step);
}

}  // namespace otnfm
