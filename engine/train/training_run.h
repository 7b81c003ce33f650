// A whole training run in a folder: OUT/model.safetensors, OUT/metrics.jsonl, OUT/samples.png, OUT/state.safetensors.
// It can be killed at any moment and goes on from the last state, bit for bit on the same device.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/train/run_start.h"
#include "engine/train/trainer.h"

namespace otnfm {

/// What decides how a run is carried out, but not what it computes.
struct RunOptions {
  std::filesystem::path out;
  Device device = Device::cpu;
  std::int64_t log_every = 100;
  std::int64_t checkpoint_every = 0;        ///< steps; 0: about once a minute
  double max_seconds = 0;                   ///< until pairing and training end, as if interrupted; 0: no limit
  const std::atomic<bool>* stop = nullptr;  ///< set from outside (SIGINT): save and return
  Trainer::Debug debug = {};
};

struct RunSummary {
  std::uint64_t steps_done = 0;  ///< of the run, those before a resume included
  bool finished = false;         ///< false: state.safetensors goes on from here, where there is one
  bool interrupted = false;      ///< by RunOptions::stop; neither: out of time
  double seconds = 0;            ///< of the whole run
  double training_seconds = 0, images_per_second = 0;
  double prepare_seconds = 0;  ///< of the coupling and the objective, before the first step
  double pairing_seconds = 0;  ///< of training_seconds, spent on pairs: on waiting for them, or on making them
  double coupling_seconds = 0, wait_seconds = 0;  ///< means a step, as of StepReport
  // NaN: not known
  double conditional_variance = std::numeric_limits<double>::quiet_NaN();           ///< of the coupling
  double relative_conditional_variance = std::numeric_limits<double>::quiet_NaN();  ///< over tr Cov(x1)
  double loss = std::numeric_limits<double>::quiet_NaN();                           ///< of the last log step
  double collapse_rho = std::numeric_limits<double>::quiet_NaN();  ///< tr Cov(F(1, x0)) / tr Cov(x1), of the picture
  std::int64_t weight_count = 0;
  std::size_t activation_bytes = 0;
  std::size_t peak_bytes = 0;         ///< of host memory, the whole process
  std::size_t device_peak_bytes = 0;  ///< of the GPU's memory; 0 on the CPU
  std::string picture;                ///< path of samples.png; empty where it ended before a step: nothing was saved
};

/// Who wants to know how it goes.
class RunListener {
 public:
  virtual ~RunListener() = default;
  /// A line for people: what is being done.
  virtual void note(const std::string& line) = 0;
  /// Now and then while the coupling or the objective is prepared.
  virtual void preparing(const std::string& doing) { (void)doing; }
  /// After every log step. `metrics` is the line of metrics.jsonl.
  virtual void logged(const StepReport& report, std::int64_t total_steps, const nlohmann::json& metrics) = 0;
};

/// Throws InputError for bad options or a folder that cannot be written, RunError where the loss is not finite any more
/// (the last state stays).
RunSummary run_training(RunStart start, const RunOptions& run, RunListener& listener);

}  // namespace otnfm
