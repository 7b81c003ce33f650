#include "engine/train/trainer.h"

#include <algorithm>
#include <optional>

#include "engine/core/table.h"
#include "engine/data/random_streams.h"
#include "engine/objectives/time_weighting.h"
#include "kernels/clock.h"

namespace otnfm {

Trainer::Trainer(const TrainerParts& parts, const TrainingOptions& options, Device device, Debug debug)
    : parts_(parts),
      debug_(debug),
      stream_(device),
      tape_(device, {.training = true, .debug_memory = debug.memory, .check_finite = debug.finite}),
      reported_at_(now()) {
  Flow& flow = parts.flow;
  Parameters& parameters = flow.parameters();
  if (!parameters.allocated()) parameters.allocate(device, options.seed);
  flow.precision = options.precision;
  flow.dropout_key = {.seed = options.seed, .stream = kDropoutStream, .step = parts.optimizer.step()};
  if (rounds(flow.precision)) parameters.make_working_copy(stream_);

  std::optional<Pairs> pairs;
  if (parts.coupling != nullptr) {
    tape_.begin_phase("coupling");
    pairs = parts.coupling->record(tape_, parts.optimizer.step());
  }
  tape_.begin_phase("forward");
  StepInputs inputs(tape_, parts.source, parts.target, pairs,
                    {.batch = pairs ? pairs->x0.rows() : options.batch,
                     .seed = options.seed,
                     .step = parts.optimizer.step(),
                     .time_weighting = &time_weighting_by_name(options.time_weighting)},
                    held_);
  loss_ = parts.objective.record(tape_, flow, inputs);
  tape_.keep(loss_);
  tape_.begin_phase("backward");
  tape_.backward(loss_);
  if (!tape_.reads_working_copies()) parameters.drop_working_copy();  // a fused flow rounds for itself
  tape_.begin_phase("update");
  parts.optimizer.record(tape_, parameters);
  tape_.plan();
  stream_.synchronize();
}

void Trainer::set_step(std::uint64_t step) {
  parts_.optimizer.set_step(stream_, step);
  step_ = reported_step_ = step;
  tape_.set_run(step);
}

void Trainer::feed() {
  if (parts_.coupling != nullptr) parts_.coupling->feed(stream_, step_);
  parts_.objective.feed(stream_, step_);
}

void Trainer::run_step() {
  feed();
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
  return pairing().seconds + recorded_coupling_seconds();
}

StepReport Trainer::report() {
  float loss = 0, norm = 0;
  copy_bytes(stream_, &loss, tape_.view(loss_).data, sizeof(loss));
  copy_bytes(stream_, &norm, parts_.optimizer.gradient_norm().data, sizeof(norm));
  stream_.synchronize();
  const double at = now(), coupling = coupling_seconds(), wait = pairing().wait_seconds;
  const double steps = std::max<double>(1, static_cast<double>(step_ - reported_step_));
  StepReport report{.step = step_,
                    .loss = loss,
                    .grad_norm = norm,
                    .lr = parts_.optimizer.learning_rate(step_ == 0 ? 0 : step_ - 1),
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
  feed();
  std::vector<double> seconds;
  tape_.run_timed(stream_, seconds);
  ++step_;
  std::vector<std::pair<std::string, double>> phases;
  for (std::size_t k = 0; k < seconds.size(); ++k) phases.emplace_back(tape_.phases()[k], seconds[k]);
  return phases;
}

std::map<std::string, double> Trainer::time_ops() {
  feed();
  std::map<std::string, double> seconds;
  tape_.run_timed_by_op(stream_, seconds);
  ++step_;
  return seconds;
}

}  // namespace otnfm
