// Objective: what a flow is trained to minimise. The interface of all objectives, and their table.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>

#include "engine/couplings/coupling.h"
#include "engine/generate/sampler.h"
#include "engine/io/saved_lists.h"
#include "engine/objectives/step_inputs.h"
#include "layers/flows/flow.h"

namespace otnfm {

class Objective {
 public:
  virtual ~Objective() = default;

  /// Whether a step is made from pairs. Only then has a run a coupling, and prepares it.
  virtual bool needs_pairs() const = 0;

  /// Work that is done once, before the first step. `state`, if not empty, is what a former run saved. Throws
  /// InputError where it does not fit, PairingStopped where the watch wants it no more.
  virtual void prepare(const SavedLists& state) { (void)state; }

  /// Records the loss [1] of a step.
  virtual Tensor record(Tape& tape, Flow& flow, StepInputs& inputs) = 0;

  /// Called before each run of the tape, with the step that it will run: brings what the tape reads up to date.
  virtual void feed(Stream& stream, std::uint64_t step) { (void)stream, (void)step; }

  /// What has to be kept to go on bit for bit; nothing where seed and step are enough.
  virtual SavedLists state() const { return {}; }

  /// What makes samples of a flow that it trains.
  virtual std::shared_ptr<const Sampler> sampler() const { return std::make_shared<OneStep>(); }

  /// What a log line says of it: an object. `pairs` are the coupling's, where there is one; their conditional_variance
  /// is NaN where the map need not learn means.
  virtual nlohmann::json statistics(const CouplingStatistics& pairs) const = 0;
};

/// What every objective is made from; all of it outlives the objective.
struct ObjectiveSetting {
  const TimeWeighting& time_weighting;
  const Source& source;
  const Dataset& target;
  Device device = Device::cpu;  ///< that the training runs on
  PreparationWatch watch = {};
};

struct ObjectiveEntry {
  const char* name;
  const char* about;
  std::unique_ptr<Objective> (*make)(const ObjectiveSetting& setting);
  bool of_velocity = false;  ///< it trains Flow::velocity, which not every family has
};

std::span<const ObjectiveEntry> objectives();

// Each is described in its own file.
std::unique_ptr<Objective> make_flow_matching(const ObjectiveSetting& setting);
std::unique_ptr<Objective> make_velocity(const ObjectiveSetting& setting);

}  // namespace otnfm
