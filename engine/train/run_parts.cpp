#include "engine/train/run_parts.h"
#include "engine/metrics/collapse.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "engine/core/json_text.h"
#include "engine/core/table.h"
#include "engine/objectives/objective.h"
#include "engine/train/run_state.h"
#include "kernels/clock.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

/// Mirror images come after rows are held out: none of them is the mirror of one that is trained on.
Dataset trained_on(const Dataset& data, const TrainingOptions& options) {
  if (!options.flip) return data;
  if (!data.is_images()) throw InputError("--flip turns images round, which " + options.data + " does not hold");
  return data.with_mirror_images();
}

RunStart with_model_to_begin_with(RunStart start) {
  read_from(start);
  return start;
}

/// "resnet, unet"
std::string families_with_velocity() {
  std::string names;
  for (const FlowFamily& family : flow_families())
    if (family.has_velocity) names += (names.empty() ? "" : ", ") + std::string(family.name);
  return names;
}

}  // namespace

RunParts::RunParts(RunStart start, const RunOptions& run, RunListener& listener)
    : start_(with_model_to_begin_with(std::move(start))),
      run_(run),
      listener_(listener),
      resumed_(start_.state.has_value()),
      data_(options().hold_out > 0 ? start_.data.hold_out(options().hold_out, options().seed) : start_.data),
      file_checksum_(start_.data.checksum()),
      data_checksum_(options().hold_out > 0 ? data_.checksum() : file_checksum_),
      began_at_(resumed_ ? checked_step(*start_.state) : 0),
      pair_(ends_of(start_, trained_on(data_, options()))),
      optimizer_(options(), run.device) {}

std::uint64_t RunParts::checked_step(const SafetensorsFile& state) const {
  const std::uint64_t step = step_of(state);
  if (step > static_cast<std::uint64_t>(options().steps))
    throw InputError(state.path() + ": is at step " + std::to_string(step) + " of " + std::to_string(options().steps));
  if (data_checksum_of(state) != data_checksum_)
    throw InputError("--resume: " + options().data + " does not hold the data any more that the run was started with");
  return step;
}

void RunParts::make(const std::function<bool()>& must_end) {
  make_flow_of_run();
  target_variance_ = total_variance(pair_.target, options().seed);
  make_objective(must_end);
  note_what_is_trained();
  prepare();
  make_trainer();
}

void RunParts::make_flow_of_run() {
  nlohmann::json flow = options().flow;
  const FlowFamily& family = find_by_name(flow_families(), flow.at("family").get<std::string>(), "flow");
  if (family.image_preset != nullptr) {
    if (!data_.is_images())
      throw InputError(std::string("flow ") + family.name + " is for images, and " + options().data + " is none");
    // From here on they are the run's, so that it goes on with them on another device too.
    start_.options.flow = flow = family.image_preset(data_.sample_shape(), run_.device, flow);
  }
  if (find_by_name(objectives(), options().objective, "objective").of_velocity && !family.has_velocity)
    throw InputError("objective " + options().objective + " trains a velocity, which flow " + family.name +
                     " has not; families that have one: " + families_with_velocity());
  if (flow.contains("dimension") && flow["dimension"] != data_.dimension())
    throw InputError("the flow's dimension " + json_text(flow["dimension"]) + " is not the data's, " +
                     std::to_string(data_.dimension()));
  flow["dimension"] = data_.dimension();
  flow_ = make_flow(flow);
  flow_->coordinates = pair_.coordinates;
  flow_->parameters().allocate(run_.device, options().seed);
  if (start_.from) begin_with(*start_.from, *flow_);
  start_.from.reset();
}

void RunParts::make_objective(const std::function<bool()>& must_end) {
  const PreparationWatch watch = [this, must_end](const std::string& doing) {
    listener_.preparing(doing);
    return !must_end();
  };
  objective_ = find_by_name(objectives(), options().objective, "objective")
                   .make({.time_weighting = time_weighting_by_name(options().time_weighting),
                          .source = pair_.source,
                          .target = pair_.target,
                          .device = run_.device,
                          .watch = watch});
  if (!objective_->needs_pairs()) return;
  const CouplingEntry& entry = find_by_name(couplings(), options().coupling, "coupling");
  CouplingOptions coupling_options = options().coupling_options(run_.device);
  coupling_options.watch = watch;
  coupling_options.wanted = [must_end] { return !must_end(); };
  coupling_ = entry.make(pair_.source, pair_.target, coupling_options);
  consistent_ = entry.consistent;
}

void RunParts::note_what_is_trained() const {
  const bool blurs = coupling_ && !consistent_;
  listener_.note(fmt::format("training on {} from {}, {}{}, {} flow, on {}", options().data, pair_.source.name(), how(),
                             blurs ? " (pairs are not consistent: outputs blur)" : "",
                             options().flow.at("family").get<std::string>(), describe(run_.device)));
  for (const std::string& line : pair_.notes) listener_.note(line);
  if (!pair_.coordinates.identity())
    listener_.note(
        fmt::format("standardised, {}: pairs, costs and losses are in standardised coordinates, samples in the data's "
                    "own",
                    pair_.about));
  if (coupling_)
    for (const std::string& line : coupling_->notes()) listener_.note(line);
  if (options().flip) listener_.note(fmt::format("{} images and their mirror images", data_.count()));
  if (options().hold_out > 0)
    listener_.note(
        fmt::format("{} of {} rows are held out for eval", start_.data.count() - data_.count(), start_.data.count()));
}

std::string RunParts::how() const {
  return coupling_ ? options().coupling + " coupling" : options().objective + " objective";
}

void RunParts::prepare() {
  const double start = now();
  if (coupling_) coupling_->prepare(resumed_ ? coupling_state_of(*start_.state) : SavedLists{});
  const double paired = now();
  objective_->prepare(resumed_ ? objective_state_of(*start_.state) : SavedLists{});
  prepare_seconds_ = now() - start;
  if (paired - start > 0.1) listener_.note(fmt::format("coupling prepared in {:.1f} s", paired - start));
  if (now() - paired > 0.1) listener_.note(fmt::format("objective prepared in {:.1f} s", now() - paired));
}

void RunParts::make_trainer() {
  trainer_.emplace(TrainerParts{.flow = *flow_,
                                .objective = *objective_,
                                .optimizer = optimizer_,
                                .source = pair_.source,
                                .target = pair_.target,
                                .coupling = coupling_.get()},
                   options(), run_.device, run_.debug);
  if (!resumed_) return;
  load_parameters(*start_.state, flow_->parameters(), trainer_->stream());
  trainer_->set_step(began_at_);
  listener_.note(fmt::format("going on from step {}", began_at_));
  start_.state.reset();
}

}  // namespace otnfm
