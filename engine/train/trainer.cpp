#include "engine/train/trainer.h"

#include <cmath>

#include "engine/train/objective.h"
#include "engine/train/random_streams.h"
#include "kernels/adamw.h"
#include "kernels/clock.h"
#include "kernels/gradient_norm.h"
#include "layers/table.h"

namespace otnfm {
Trainer::Trainer(Flow& flow, Coupling& coupling, const TrainingOptions& options, Device device, Debug debug)
    : flow_(flow),
      coupling_(coupling),
      options_(options),
      debug_(debug),
      stream_(device),
      counters_(device, 64, "the step counter"),
      tape_(device, {.training = true, .debug_memory = debug.memory, .check_finite = debug.finite}),
      device_step_(reinterpret_cast<std::uint64_t*>(counters_.data()), {1}),
      norm_(reinterpret_cast<float*>(counters_.data() + 16), {1}),
      clip_scale_(reinterpret_cast<float*>(counters_.data() + 32), {1}),
      reported_at_(now()) {
  zero_bytes(stream_, counters_.data(), counters_.bytes());
  Parameters& parameters = flow.parameters();
  if (!parameters.allocated()) parameters.allocate(device, options.seed);
  flow.precision = options.matmul_precision();

  tape_.begin_phase("coupling");
  const Pairs pairs = coupling.record(tape_, device_step_);
  tape_.begin_phase("forward");
  const RandomKey time_key{.seed = options.seed, .stream = kTimeStream, .step = device_step_};
  const Times times =
      find_by_name(time_weightings(), options.time_weighting, "time weighting").draw(tape_, pairs.x0.rows(), time_key);
  loss_ = find_by_name(objectives(), options.objective, "objective").loss(tape_, flow, pairs, times);
  tape_.keep(loss_);
  tape_.begin_phase("backward");
  tape_.backward(loss_);
  tape_.begin_phase("update");
  tape_.record(gradient_norm, GradientNorm{.gradient = parameters.gradients(),
                                           .norm = norm_,
                                           .clip_scale = clip_scale_,
                                           .max_norm = static_cast<float>(options.clip_norm)});
  tape_.record(adamw, AdamW{.value = parameters.values(),
                            .m = parameters.first_moments(),
                            .v = parameters.second_moments(),
                            .ema = parameters.averages(),
                            .gradient = parameters.gradients(),
                            .clip_scale = clip_scale_,
                            .step = device_step_,
                            .decayed = parameters.decayed_count(),
                            .schedule = options.learning_rate_schedule(),
                            .weight_decay = static_cast<float>(options.weight_decay),
                            .ema_decay = static_cast<float>(options.ema_decay)});
  tape_.record(advance_step, AdvanceStep{.step = device_step_});
  tape_.plan();
  stream_.synchronize();
}

void Trainer::set_step(std::uint64_t step) {
  copy_bytes(stream_, device_step_.data, &step, sizeof(step));
  stream_.synchronize();
  step_ = reported_step_ = step;
  tape_.set_run(step);
}

void Trainer::run_step() {
  coupling_.feed(stream_, step_);
  // On CUDA the first step runs kernel by kernel: in it the libraries choose their algorithms, which a capture forbids.
  if (stream_.on_cuda() && ran_once_ && !graph_ && !debug_.finite) graph_ = tape_.capture(stream_);
  if (graph_)
    graph_.launch(stream_);
  else if (stream_.on_cuda() || debug_.finite)
    tape_.run(stream_);
  else
    tape_.run_timed(stream_, phase_seconds_);
  ran_once_ = true;
  ++step_;
}

double Trainer::coupling_seconds() const {
  return coupling_.statistics().seconds + recorded_coupling_seconds();
}

StepReport Trainer::report() {
  float loss = 0, norm = 0;
  copy_bytes(stream_, &loss, tape_.view(loss_).data, sizeof(loss));
  copy_bytes(stream_, &norm, norm_.data, sizeof(norm));
  stream_.synchronize();
  const double at = now(), coupling = coupling_seconds(), wait = coupling_.statistics().wait_seconds;
  const double steps = std::max<double>(1, static_cast<double>(step_ - reported_step_));
  StepReport report{.step = step_,
                    .loss = loss,
                    .grad_norm = norm,
                    .lr = learning_rate(options_.learning_rate_schedule(), step_ == 0 ? 0 : step_ - 1),
                    .step_seconds = (at - reported_at_) / steps,
                    .coupling_seconds = (coupling - reported_coupling_) / steps,
                    .wait_seconds = (wait - reported_wait_) / steps};
  reported_step_ = step_;
  reported_coupling_ = coupling;
  reported_wait_ = wait;
  reported_at_ = at;
  return report;
}

std::vector<std::pair<std::string, double>> Trainer::time_phases() {
  coupling_.feed(stream_, step_);
  std::vector<double> seconds;
  tape_.run_timed(stream_, seconds);
  ++step_;
  std::vector<std::pair<std::string, double>> phases;
  for (std::size_t k = 0; k < seconds.size(); ++k) phases.emplace_back(tape_.phases()[k], seconds[k]);
  return phases;
}

}  // namespace otnfm
