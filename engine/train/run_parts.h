// All that a training run is made of, from its data to the trainer, and how it is put together.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/couplings/coupling.h"
#include "engine/data/standardise.h"
#include "engine/objectives/objective.h"
#include "engine/train/optimizer.h"
#include "engine/train/run_start.h"
#include "engine/train/trainer.h"
#include "engine/train/training_run.h"
#include "layers/flows/flow.h"

namespace otnfm {

class RunParts {
 public:
  /// The data, and both ends in the run's coordinates. InputError where a run does not go on with them.
  RunParts(RunStart start, const RunOptions& run, RunListener& listener);

  /// Makes, and prepares, all else. `must_end` is asked now and then; where it says so PairingStopped is thrown.
  void make(const std::function<bool()>& must_end);

  const TrainingOptions& options() const { return start_.options; }
  bool resumed() const { return resumed_; }
  std::uint64_t began_at() const { return began_at_; }  ///< the step

  const Dataset& data() const { return data_; }  ///< without the rows held out, nor mirror images
  std::uint64_t data_checksum() const { return data_checksum_; }
  std::uint64_t file_checksum() const { return file_checksum_; }  ///< with them
  const StandardisedPair& pair() const { return pair_; }
  double target_variance() const { return target_variance_; }

  // Once they are made.
  const Flow& flow() const { return *flow_; }
  const Objective& objective() const { return *objective_; }
  Trainer& trainer() { return *trainer_; }
  const Trainer& trainer() const { return *trainer_; }
  bool consistent() const { return consistent_; }              ///< the coupling's pairs are
  double prepare_seconds() const { return prepare_seconds_; }  ///< of the coupling and the objective

  /// "global coupling"; "NAME objective" of one without pairs.
  std::string how() const;

  // Of a coupling, where there is one.
  CouplingStatistics pairing() const { return coupling_ ? coupling_->statistics() : CouplingStatistics{}; }
  SavedLists coupling_state() const { return coupling_ ? coupling_->state() : SavedLists{}; }
  SavedLists coupling_map() const { return coupling_ ? coupling_->map() : SavedLists{}; }

 private:
  std::uint64_t checked_step(const SafetensorsFile& state) const;
  void make_flow_of_run();
  void make_objective(const std::function<bool()>& must_end);
  void note_what_is_trained() const;
  void prepare();
  void make_trainer();

  RunStart start_;  // its files go once they have been used
  const RunOptions& run_;
  RunListener& listener_;
  const bool resumed_;
  Dataset data_;
  std::uint64_t file_checksum_, data_checksum_;
  std::uint64_t began_at_;
  StandardisedPair pair_;
  double target_variance_ = 0, prepare_seconds_ = 0;
  std::unique_ptr<Flow> flow_;
  std::unique_ptr<Objective> objective_;
  std::unique_ptr<Coupling> coupling_;  // null where the objective needs no pairs
  bool consistent_ = false;
  Optimizer optimizer_;
  std::optional<Trainer> trainer_;
};

}  // namespace otnfm
