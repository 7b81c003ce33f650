// Trainer: one loop for every flow, coupling, objective and device.
//     what the objective needs (pairs of a coupling, noise, data, times) -> its loss -> backward -> the optimiser
// All of it is recorded on one tape; on CUDA a step is one launch of a captured graph, and nothing waits for the device
// but a log line (and the copy of pairs that a coupling makes on the host).
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/tape.h"
#include "engine/couplings/coupling.h"
#include "engine/data/record_draw.h"
#include "engine/objectives/objective.h"
#include "engine/train/optimizer.h"
#include "engine/train/options.h"
#include "layers/flows/flow.h"

namespace otnfm {

/// What a log line says.
struct StepReport {
  std::uint64_t step = 0;  ///< steps done
  double loss = 0, grad_norm = 0, lr = 0;
  double step_seconds = 0;      ///< mean of the steps since the last report, the coupling's work included
  double coupling_seconds = 0;  ///< spent on pairing, mean a step; not of the step's time where another thread pairs
  double wait_seconds = 0;      ///< of the step's time, waited for the pairs, mean a step
};

/// What a trainer brings together; all of it outlives the trainer.
struct TrainerParts {
  Flow& flow;
  Objective& objective;  ///< prepared
  Optimizer& optimizer;
  const Source& source;   ///< of fresh noise, in the flow's coordinates
  const Dataset& target;  ///< of fresh data, likewise
  Coupling* coupling;     ///< prepared; null where the objective needs no pairs
};

class Trainer {
 public:
  struct Debug {
    bool memory = false;  ///< every tensor has its own allocation
    bool finite = false;  ///< every op's output is searched for NaN and infinity; the error names op and step
  };

  /// Records, plans and (on CUDA) captures a step.
  Trainer(const TrainerParts& parts, const TrainingOptions& options, Device device, Debug debug);
  Trainer(const TrainerParts& parts, const TrainingOptions& options, Device device)
      : Trainer(parts, options, device, Debug{}) {}

  /// Steps done so far.
  std::uint64_t step() const { return step_; }
  void set_step(std::uint64_t step);

  /// One step. Returns before a CUDA device has done it.
  void run_step();

  /// The numbers of the step run last. Waits for it.
  StepReport report();

  /// Runs one step with the clock around each part: {"coupling", seconds} where there is one, {"forward", ...},
  /// {"backward", ...}, {"update", ...}.
  std::vector<std::pair<std::string, double>> time_phases();
  /// One step kernel by kernel: the seconds of all calls of each op, by its name.
  std::map<std::string, double> time_ops();

  /// Spent on pairing since the start: by the coupling on the host and, on the CPU, by its ops on the tape.
  double coupling_seconds() const;

  /// Of the steps' own time, spent on the coupling's ops: on the CPU, since the start; else 0.
  double recorded_coupling_seconds() const {
    return parts_.coupling == nullptr || phase_seconds_.empty() ? 0 : phase_seconds_.front();
  }

  Stream& stream() { return stream_; }
  const Tape& tape() const { return tape_; }

 private:
  /// What the tape reads and the host brings, for the step that is run next.
  void feed();
  CouplingStatistics pairing() const { return parts_.coupling ? parts_.coupling->statistics() : CouplingStatistics{}; }

  TrainerParts parts_;
  Debug debug_;
  Stream stream_;
  HeldMemory held_;  // of what the objective drew
  Tape tape_;
  Tensor loss_;
  Graph graph_;
  bool ran_once_ = false;
  std::vector<double> phase_seconds_;  // on the CPU
  std::uint64_t step_ = 0;

  // Since the last report.
  std::uint64_t reported_step_ = 0;
  double reported_coupling_ = 0, reported_wait_ = 0;
  double reported_at_;
};

}  // namespace otnfm
