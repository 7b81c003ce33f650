#include "engine/train/training_run.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "engine/core/json_text.h"
#include "engine/evaluate/preview.h"
#include "engine/generate/model_file.h"
#include "engine/io/folder_lock.h"
#include "engine/train/metrics_file.h"
#include "engine/train/run_parts.h"
#include "engine/train/run_state.h"
#include "kernels/clock.h"
#include "kernels/memory.h"

namespace otnfm {
namespace {

namespace fs = std::filesystem;

class Run {
 public:
  Run(RunStart start, const RunOptions& run, RunListener& listener)
      : run_(run), listener_(listener), lock_(std::move(start.lock)), parts_(std::move(start), run, listener) {}

  RunSummary operator()() {
    try {
      prepare();
    } catch (const PairingStopped&) {
      return ended_without_a_step("while the coupling was prepared");
    }
    train();
    if (parts_.trainer().step() == parts_.began_at() && !summary_.finished)
      return ended_without_a_step("before the first step");
    checkpoint();
    summary_.seconds = now() - started_;
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) == 0) summary_.peak_bytes = static_cast<std::size_t>(usage.ru_maxrss) << 10;
    if (run_.device == Device::cuda) summary_.device_peak_bytes = peak_bytes(Device::cuda);
    return summary_;
  }

 private:
  fs::path file(const char* name) const { return run_.out / name; }

  /// What is in the folder stays as it is.
  RunSummary ended_without_a_step(const char* when) {
    const std::string left = parts_.resumed() ? fmt::format("the run stays at step {}", parts_.began_at())
                             : fs::exists(file("state.safetensors"))
                                 ? "nothing is trained yet; --resume goes on"
                                 : "nothing is trained, and there is nothing yet to "
                                   "go on from";
    listener_.note(fmt::format("{} {}: {}", interrupted() ? "interrupted" : "time is out (--max-seconds)", when, left));
    summary_.steps_done = parts_.began_at();
    summary_.interrupted = interrupted();
    summary_.seconds = now() - started_;
    return summary_;
  }

  bool interrupted() const { return run_.stop && run_.stop->load(); }
  bool must_end() const { return interrupted() || (run_.max_seconds > 0 && now() - started_ > run_.max_seconds); }

  void prepare() {
    std::error_code error;
    fs::create_directories(run_.out, error);
    if (error) throw InputError("--out " + run_.out.string() + ": " + error.message());
    if (!lock_) lock_ = std::make_unique<FolderLock>(run_.out);
    if (!parts_.resumed() && fs::exists(file("state.safetensors")))
      throw InputError("--out " + run_.out.string() +
                       " holds a training run already: add --resume to go on with it, or name another folder");
    metrics_.emplace(file("metrics.jsonl"), parts_.resumed(), parts_.began_at());
    parts_.make([this] { return must_end(); });
    // What was prepared is safe from here on.
    const bool prepared = !parts_.coupling_state().empty() || !parts_.objective().state().empty();
    if (prepared && !parts_.resumed()) save();

    const Tape& tape = parts_.trainer().tape();
    summary_.prepare_seconds = parts_.prepare_seconds();
    summary_.weight_count = parts_.flow().parameters().weight_count();
    summary_.activation_bytes = tape.planned_bytes();
    listener_.note(fmt::format("{} weights, {} kernel calls a step, {:.2f} MiB of activations ({:.2f} without reuse)",
                               summary_.weight_count, tape.node_count(), tape.planned_bytes() / 1048576.0,
                               tape.unshared_bytes() / 1048576.0));
  }

  void train() {
    Trainer& trainer = parts_.trainer();
    const std::uint64_t total = static_cast<std::uint64_t>(parts_.options().steps), first = trainer.step();
    const CouplingStatistics before = parts_.pairing();
    const double start = now();
    double saved_at = now();
    trainer.report();  // starts the clock
    while (trainer.step() < total) {
      try {
        trainer.run_step();
      } catch (const PairingStopped&) {
        break;
      }
      const std::uint64_t step = trainer.step();
      if (step % run_.log_every == 0 || step == total) log();
      const bool due = run_.checkpoint_every > 0 ? step % run_.checkpoint_every == 0 : now() - saved_at > 60;
      if (due && step < total) {
        checkpoint();
        saved_at = now();
      }
      if (must_end()) break;
    }
    trainer.stream().synchronize();
    summary_.training_seconds = now() - start;
    const CouplingStatistics after = parts_.pairing();
    const double pairing = trainer.coupling_seconds() - before.seconds,
                 waiting = after.wait_seconds - before.wait_seconds,
                 steps = std::max(1.0, static_cast<double>(trainer.step() - first));
    summary_.pairing_seconds = waiting + trainer.recorded_coupling_seconds();
    summary_.coupling_seconds = pairing / steps;
    summary_.wait_seconds = waiting / steps;
    summary_.conditional_variance = after.conditional_variance;
    summary_.relative_conditional_variance = after.conditional_variance / parts_.target_variance();
    summary_.steps_done = trainer.step();
    summary_.finished = trainer.step() == total;
    summary_.interrupted = !summary_.finished && interrupted();
    const double images =
        static_cast<double>((trainer.step() - first) * static_cast<std::uint64_t>(parts_.options().batch));
    summary_.images_per_second = summary_.training_seconds > 0 ? images / summary_.training_seconds : 0;
  }

  void log() {
    const StepReport report = parts_.trainer().report();
    CouplingStatistics pairing = parts_.pairing();
    if (!std::isfinite(report.loss) || !std::isfinite(report.grad_norm))
      throw RunError(fmt::format(
          "the loss is {} and the gradient's norm {} at step {}: a smaller --lr may help; the last saved state is kept",
          report.loss, report.grad_norm, report.step));
    summary_.loss = report.loss;
    nlohmann::json line = {
        {"step", report.step},
        {"loss", report.loss},
        {"grad_norm", report.grad_norm},
        {"lr", report.lr},
        {"coupling_seconds", report.coupling_seconds},
        {"wait_seconds", report.wait_seconds},
        {"step_seconds", report.step_seconds},
        {"pair_cost", number_or_null(pairing.mean_cost)},
        {"conditional_variance", number_or_null(pairing.conditional_variance)},
        {"target_variance", parts_.target_variance()},
        {"relative_conditional_variance", number_or_null(pairing.conditional_variance / parts_.target_variance())},
        {"collapse_rho", number_or_null(collapse_rho_)}};
    // Of consistent pairs the estimate is of how smooth the pairing is: no floor of a loss.
    if (parts_.consistent()) pairing.conditional_variance = std::numeric_limits<double>::quiet_NaN();
    line.update(parts_.objective().statistics(pairing));
    metrics_->write(line);
    listener_.logged(report, parts_.options().steps, line);
  }

  void save() {
    save_state(file("state.safetensors"),
               {.flow = parts_.flow(),
                .coupling = parts_.coupling_state(),
                .objective = parts_.objective().state(),
                .step = parts_.trainer().step(),
                .data_checksum = parts_.data_checksum()},
               parts_.trainer().stream(), parts_.options());
  }

  void checkpoint() {
    save();
    const TrainingOptions& options = parts_.options();
    const Flow& flow = parts_.flow();
    const Source& source = parts_.pair().raw_source;
    Stream& stream = parts_.trainer().stream();
    const nlohmann::json configuration =
        model_configuration(flow, source, parts_.data(),
                            {{"data", options.data},
                             {"training", options.to_json()},
                             {"sampler", parts_.objective().sampler()->configuration()},
                             {"steps_done", parts_.trainer().step()},
                             {"data_checksum", parts_.file_checksum()}});
    const SavedLists map = parts_.coupling_map();
    std::vector<NamedTensor> tensors;
    append(map, kCouplingPrefix, tensors);
    save_model(file("model.safetensors"), flow, source, stream, configuration, tensors);

    const Generator generator(model_of(flow, source, configuration, stream), run_.device,
                              {.sampler = parts_.objective().sampler()});
    summary_.picture = file("samples.png").string();
    collapse_rho_ = summary_.collapse_rho =
        write_preview(summary_.picture, generator, parts_.data(), options.seed, title()) / parts_.target_variance();
  }

  std::string title() const {
    const TrainingOptions& options = parts_.options();
    const std::string data = options.data.substr(0, options.data.find(':'));
    return fmt::format("{}, {}, {} steps", data, parts_.how(), parts_.trainer().step());
  }

  const RunOptions& run_;
  RunListener& listener_;
  const double started_ = now();
  std::unique_ptr<FolderLock> lock_;
  RunParts parts_;
  std::optional<MetricsFile> metrics_;
  double collapse_rho_ = std::numeric_limits<double>::quiet_NaN();  // of the last checkpoint
  RunSummary summary_;
};

}  // namespace

RunSummary run_training(RunStart start, const RunOptions& run, RunListener& listener) {
  return Run(std::move(start), run, listener)();
}

}  // namespace otnfm
