#include "engine/train/training_run.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cmath>
#include <fstream>

#include "engine/core/json_text.h"
#include "engine/data/standardise.h"
#include "engine/generate/model_file.h"
#include "engine/io/atomic_file.h"
#include "engine/io/folder_lock.h"
#include "engine/train/preview.h"
#include "engine/train/run_state.h"
#include "kernels/clock.h"
#include "kernels/memory.h"
#include "layers/table.h"

namespace otnfm {
namespace {

namespace fs = std::filesystem;

/// metrics.jsonl, one object a line. A run that goes on from step k drops the lines of later steps first: they will be
/// written again.
class MetricsFile {
 public:
  MetricsFile(const fs::path& path, bool resume, std::uint64_t step) : path_(path.string()) {
    std::string kept;
    if (resume) {
      std::ifstream old(path);
      for (std::string line; std::getline(old, line);) {
        const nlohmann::json parsed = parse_json(line);
        if (parsed.is_object() && parsed.contains("step") && parsed["step"].is_number_unsigned() &&
            parsed["step"].get<std::uint64_t>() <= step)
          kept += line + "\n";
      }
    }
    // What is kept is never lost on the way; where nothing is, there is nothing to wait for the disk for.
    if (resume) write_file(path, kept);
    file_.open(path, resume ? std::ios::app : std::ios::trunc);
    if (!file_) throw RunError(path_ + ": cannot be opened for writing");
  }

  void write(const nlohmann::json& line) {
    file_ << json_text(line) << '\n' << std::flush;
    if (!file_) throw RunError(path_ + ": cannot be written to (is the disk full?)");
  }

 private:
  std::string path_;
  std::ofstream file_;
};

/// One run's parts, in the order in which they are made.
class Run {
 public:
  Run(const TrainingOptions& options, const RunOptions& run, RunListener& listener)
      : options_(options),
        run_(run),
        listener_(listener),
        file_data_(open_dataset(options.data)),
        data_(options.hold_out > 0 ? file_data_.hold_out(options.hold_out, options.seed) : file_data_),
        pair_(pair_of_ends()),
        optimizer_(options, run.device),
        data_checksum_(data_.checksum()) {}

  RunSummary operator()() {
    try {
      prepare();
    } catch (const PairingStopped&) {
      return ended_without_a_step("while the coupling was prepared");
    }
    train();
    if (trainer_->step() == began_at_ && !summary_.finished) return ended_without_a_step("before the first step");
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
    const std::string left = run_.resume ? fmt::format("the run stays at step {}", began_at_)
                             : fs::exists(file("state.safetensors"))
                                 ? "nothing is trained yet; --resume goes on"
                                 : "nothing is trained, and there is nothing yet to "
                                   "go on from";
    listener_.note(fmt::format("{} {}: {}", interrupted() ? "interrupted" : "time is out (--max-seconds)", when, left));
    summary_.steps_done = began_at_;
    summary_.interrupted = interrupted();
    summary_.seconds = now() - started_;
    return summary_;
  }

  bool interrupted() const { return run_.stop && run_.stop->load(); }
  bool must_end() const { return interrupted() || (run_.max_seconds > 0 && now() - started_ > run_.max_seconds); }

  /// A run that goes on, or from a model, keeps its coordinates, as far as it has the same ends.
  StandardisedPair pair_of_ends() const {
    const auto as_in = [&](const fs::path& path) {
      return standardise_pair(options_.source, data_, read_coordinates(SafetensorsFile::load(path), data_.dimension()));
    };
    if (run_.resume) return as_in(file("state.safetensors"));
    if (!options_.from.empty() && options_.standardise == "automatic") {
      const SafetensorsFile model = SafetensorsFile::load(options_.from);
      FlowCoordinates coordinates = read_coordinates(model, data_.dimension());
      // Another source than the model's has a mean and a scale of its own.
      const bool same_source = read_model_configuration(model)["source"] == options_.source;
      StandardisedData of_source;
      if (!same_source) {
        of_source = standardise_source(
            options_.source, {.method = "as before", .standardisation = coordinates.target, .notes = {}}, "automatic");
        coordinates.source = of_source.standardisation;
      }
      StandardisedPair pair = standardise_pair(options_.source, data_, coordinates);
      if (!same_source) pair.about = fmt::format("data as before, source by {}", of_source.method);
      pair.notes = std::move(of_source.notes);
      return pair;
    }
    return standardise_pair(options_.source, data_, options_.standardise);
  }

  /// Weights and their averages, of a model of the same flow.
  void begin_with(const fs::path& path) {
    Stream stream(run_.device);
    const Parameters& own = flow_->parameters();
    for (const auto& [weights, to] : {std::pair{Weights::trained, own.values()}, {Weights::averaged, own.averages()}}) {
      const Model model = load_model(path, run_.device, weights);
      const nlohmann::json theirs = model.flow->configuration(), ours = flow_->configuration();
      for (const auto& [key, value] : ours.items())
        if (theirs.value(key, nlohmann::json()) != value)
          throw InputError(fmt::format("--from {}: its flow has {} = {}, not {}", path.string(), key,
                                       json_text(theirs.value(key, nlohmann::json())), json_text(value)));
      const View<float> from = model.flow->parameters().values();
      if (from.size() != to.size()) throw InputError("--from " + path.string() + ": has another number of weights");
      copy_bytes(stream, to.data, from.data, static_cast<std::size_t>(to.size()) * sizeof(float));
      stream.synchronize();
    }
  }

  CouplingStatistics pairing() const { return coupling_ ? coupling_->statistics() : CouplingStatistics{}; }
  SavedLists coupling_state() const { return coupling_ ? coupling_->state() : SavedLists{}; }

  /// "global coupling"; "NAME objective" of one without pairs.
  std::string how() const { return coupling_ ? options_.coupling + " coupling" : options_.objective + " objective"; }

  void make_objective() {
    const PreparationWatch watch = [this](const std::string& doing) {
      listener_.preparing(doing);
      return !must_end();
    };
    objective_ = find_by_name(objectives(), options_.objective, "objective")
                     .make({.options = options_,
                            .source = pair_.source,
                            .target = pair_.target,
                            .device = run_.device,
                            .watch = watch});
    if (!objective_->needs_pairs()) return;
    const CouplingEntry& entry = find_by_name(couplings(), options_.coupling, "coupling");
    CouplingOptions coupling_options = options_.coupling_options(run_.device);
    coupling_options.watch = watch;
    coupling_options.wanted = [this] { return !must_end(); };
    coupling_ = entry.make(pair_.source, pair_.target, coupling_options);
    consistent_ = entry.consistent;
  }

  void prepare() {
    std::error_code error;
    fs::create_directories(run_.out, error);
    if (error) throw InputError("--out " + run_.out.string() + ": " + error.message());
    lock_.emplace(run_.out);
    if (!run_.resume && fs::exists(file("state.safetensors")))
      throw InputError("--out " + run_.out.string() +
                       " holds a training run already: add --resume to go on with it, or name another folder");

    nlohmann::json flow = options_.flow;
    if (flow.contains("dimension") && flow["dimension"] != data_.dimension())
      throw InputError("the flow's dimension " + json_text(flow["dimension"]) + " is not the data's, " +
                       std::to_string(data_.dimension()));
    flow["dimension"] = data_.dimension();
    flow_ = make_flow(flow);
    flow_->coordinates = pair_.coordinates;
    flow_->parameters().allocate(run_.device, options_.seed);
    if (!options_.from.empty() && !run_.resume) begin_with(options_.from);
    target_variance_ = total_variance(pair_.target, options_.seed);

    std::optional<SafetensorsFile> state;
    if (run_.resume) state.emplace(SafetensorsFile::load(file("state.safetensors")));
    const std::uint64_t step = state ? step_of(*state) : std::uint64_t{0};
    began_at_ = step;
    if (step > static_cast<std::uint64_t>(options_.steps))
      throw InputError(state->path() + ": is at step " + std::to_string(step) + " of " +
                       std::to_string(options_.steps));
    if (state && data_checksum_of(*state) != data_checksum_)
      throw InputError("--resume: " + options_.data + " does not hold the data any more that the run was started with");
    metrics_.emplace(file("metrics.jsonl"), run_.resume, step);
    make_objective();
    const bool blurs = coupling_ && !consistent_;
    listener_.note(fmt::format("training on {} from {}, {}{}, {} flow, on {}", options_.data, pair_.source.name(),
                               how(), blurs ? " (pairs are not consistent: outputs blur)" : "",
                               flow["family"].get<std::string>(), describe(run_.device)));
    for (const std::string& line : pair_.notes) listener_.note(line);
    if (!pair_.coordinates.identity())
      listener_.note(
          fmt::format("standardised, {}: pairs, costs and losses are in standardised coordinates, samples in "
                      "the data's own",
                      pair_.about));
    if (coupling_ && !data_.endless() && options_.coupling == "global" && options_.bank > data_.count())
      listener_.note(
          fmt::format("the bank holds {} pairs, one of every row of the data: --bank {} is more than there are",
                      data_.count(), options_.bank));
    if (options_.hold_out > 0)
      listener_.note(
          fmt::format("{} of {} rows are held out for eval", file_data_.count() - data_.count(), file_data_.count()));
    const double start = now();
    if (coupling_) coupling_->prepare(state ? coupling_state_of(*state) : SavedLists{});
    objective_->prepare(state ? objective_state_of(*state) : SavedLists{});
    summary_.prepare_seconds = now() - start;
    if (summary_.prepare_seconds > 0.1)
      listener_.note(fmt::format("coupling prepared in {:.1f} s", summary_.prepare_seconds));

    trainer_.emplace(TrainerParts{.flow = *flow_,
                                  .objective = *objective_,
                                  .optimizer = optimizer_,
                                  .source = pair_.source,
                                  .target = pair_.target,
                                  .coupling = coupling_.get()},
                     options_, run_.device, run_.debug);
    if (state) {
      load_parameters(*state, flow_->parameters(), trainer_->stream());
      trainer_->set_step(step);
      listener_.note(fmt::format("going on from step {}", step));
    } else if (!coupling_state().empty() || !objective_->state().empty()) {
      save();  // what was prepared is safe from here on
    }
    summary_.weight_count = flow_->parameters().weight_count();
    summary_.activation_bytes = trainer_->tape().planned_bytes();
    listener_.note(fmt::format("{} weights, {} kernel calls a step, {:.2f} MiB of activations ({:.2f} without reuse)",
                               summary_.weight_count, trainer_->tape().node_count(),
                               trainer_->tape().planned_bytes() / 1048576.0,
                               trainer_->tape().unshared_bytes() / 1048576.0));
  }

  void train() {
    const std::uint64_t total = static_cast<std::uint64_t>(options_.steps), first = trainer_->step();
    const CouplingStatistics before = pairing();
    const double start = now();
    double saved_at = now();
    trainer_->report();  // starts the clock
    while (trainer_->step() < total) {
      try {
        trainer_->run_step();
      } catch (const PairingStopped&) {
        break;
      }
      const std::uint64_t step = trainer_->step();
      if (step % run_.log_every == 0 || step == total) log();
      const bool due = run_.checkpoint_every > 0 ? step % run_.checkpoint_every == 0 : now() - saved_at > 60;
      if (due && step < total) {
        checkpoint();
        saved_at = now();
      }
      if (must_end()) break;
    }
    trainer_->stream().synchronize();
    summary_.training_seconds = now() - start;
    const CouplingStatistics after = pairing();
    const double seconds = trainer_->coupling_seconds() - before.seconds,
                 waiting = after.wait_seconds - before.wait_seconds,
                 steps = std::max(1.0, static_cast<double>(trainer_->step() - first));
    summary_.pairing_seconds = waiting + trainer_->recorded_coupling_seconds();
    summary_.coupling_seconds = seconds / steps;
    summary_.wait_seconds = waiting / steps;
    summary_.conditional_variance = after.conditional_variance;
    summary_.relative_conditional_variance = after.conditional_variance / target_variance_;
    summary_.steps_done = trainer_->step();
    summary_.finished = trainer_->step() == total;
    summary_.interrupted = !summary_.finished && interrupted();
    const double images = static_cast<double>((trainer_->step() - first) * static_cast<std::uint64_t>(options_.batch));
    summary_.images_per_second = summary_.training_seconds > 0 ? images / summary_.training_seconds : 0;
  }

  void log() {
    const StepReport report = trainer_->report();
    CouplingStatistics coupling = pairing();
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
        {"pair_cost", number_or_null(coupling.mean_cost)},
        {"conditional_variance", number_or_null(coupling.conditional_variance)},
        {"target_variance", target_variance_},
        {"relative_conditional_variance", number_or_null(coupling.conditional_variance / target_variance_)},
        {"collapse_rho", number_or_null(collapse_rho_)}};
    // Of consistent pairs the estimate is of how smooth the pairing is: no floor of a loss.
    if (consistent_) coupling.conditional_variance = std::numeric_limits<double>::quiet_NaN();
    line.update(objective_->statistics(coupling));
    metrics_->write(line);
    listener_.logged(report, options_.steps, line);
  }

  void save() {
    save_state(file("state.safetensors"),
               {.flow = *flow_,
                .coupling = coupling_state(),
                .objective = objective_->state(),
                .step = trainer_->step(),
                .data_checksum = data_checksum_},
               trainer_->stream(), options_);
  }

  void checkpoint() {
    Stream& stream = trainer_->stream();
    save();
    const SavedLists map = coupling_ ? coupling_->map() : SavedLists{};
    std::vector<NamedTensor> tensors;
    append(map, kCouplingPrefix, tensors);
    const nlohmann::json configuration = model_configuration(*flow_, pair_.raw_source, data_,
                                                             {{"data", options_.data},
                                                              {"training", options_.to_json()},
                                                              {"steps_done", trainer_->step()},
                                                              {"data_checksum", file_data_.checksum()}});
    save_model(file("model.safetensors"), *flow_, pair_.raw_source, stream, configuration, tensors);
    const Generator generator(model_of(*flow_, pair_.raw_source, configuration, stream), run_.device,
                              {.sampler = objective_->sampler()});
    const std::string title =
        fmt::format("{}, {}, {} steps", options_.data.substr(0, options_.data.find(':')), how(), trainer_->step());
    summary_.picture = file("samples.png").string();
    collapse_rho_ = summary_.collapse_rho =
        write_preview(summary_.picture, generator, data_, options_.seed, title) / target_variance_;
  }

  const TrainingOptions& options_;
  const RunOptions& run_;
  RunListener& listener_;
  const double started_ = now();
  Dataset file_data_, data_;  // without and with rows held out
  StandardisedPair pair_;
  std::unique_ptr<Flow> flow_;
  std::unique_ptr<Objective> objective_;
  std::unique_ptr<Coupling> coupling_;  // null where the objective needs no pairs
  Optimizer optimizer_;
  std::optional<Trainer> trainer_;
  std::optional<FolderLock> lock_;
  std::optional<MetricsFile> metrics_;
  std::uint64_t data_checksum_;
  std::uint64_t began_at_ = 0;                                      // the step
  double collapse_rho_ = std::numeric_limits<double>::quiet_NaN();  // of the last checkpoint
  double target_variance_ = 0;
  bool consistent_ = false;  // the coupling's pairs are
  RunSummary summary_;
};

}  // namespace

TrainingOptions options_of_run(const fs::path& out, std::uint64_t* step) {
  const SafetensorsFile state = SafetensorsFile::load(out / "state.safetensors");
  if (step != nullptr) *step = step_of(state);
  return options_of_state(state);
}

RunSummary run_training(const TrainingOptions& options, const RunOptions& run, RunListener& listener) {
  return Run(options, run, listener)();
}

}  // namespace otnfm
