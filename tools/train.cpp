// otnfm train: a flow on coupled pairs, into a folder.
#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <fstream>
#include <optional>
#include <sstream>

#include "engine/train/batch_solver.h"
#include "engine/train/objective.h"
#include "engine/train/training_run.h"
#include "layers/flow.h"
#include "layers/table.h"
#include "tools/command.h"
#include "tools/out_of_memory.h"
#include "tools/progress.h"

namespace otnfm {
namespace {

std::atomic<bool> interrupted{false};

void on_signal(int signal) {
  interrupted.store(true);
  std::signal(signal, SIG_DFL);  // a second one ends the program at once
}

/// What was given on the command line; the rest comes from the configuration file, then from the data's defaults.
struct TrainFlags {
  CommonFlags common;
  std::optional<std::string> data, source, coupling, solver, flow, objective, standardise, time_weighting, precision,
      config;
  std::optional<std::int64_t> steps, batch, bank, caches, axes;
  std::optional<double> lr;
  std::optional<std::uint64_t> seed;
  std::string out;
  bool resume = false, debug_memory = false, check_finite = false;
  std::int64_t log_every = 100, checkpoint_every = 0;
  double max_seconds = 0;
};

/// "coupling,blocks=6,mask=random" -> {"family": "coupling", "blocks": 6, "mask": "random"}
nlohmann::json flow_of(const std::string& text) {
  nlohmann::json flow = nlohmann::json::object();
  std::stringstream parts(text);
  std::string part;
  std::getline(parts, part, ',');
  flow["family"] = part;
  while (std::getline(parts, part, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0)
      throw InputError("--flow " + text + ": '" + part + "' is not key=value");
    const std::string value = part.substr(equals + 1);
    nlohmann::json parsed = nlohmann::json::parse(value, nullptr, /*allow_exceptions=*/false);
    flow[part.substr(0, equals)] = parsed.is_discarded() ? nlohmann::json(value) : parsed;
  }
  return flow;
}

nlohmann::json given(const TrainFlags& flags) {
  nlohmann::json json = nlohmann::json::object();
  const auto put = [&](const char* key, const auto& value) {
    if (value) json[key] = *value;
  };
  put("data", flags.data);
  put("source", flags.source);
  put("coupling", flags.coupling);
  put("solver", flags.solver);
  put("standardise", flags.standardise);
  put("objective", flags.objective);
  put("time_weighting", flags.time_weighting);
  put("precision", flags.precision);
  put("steps", flags.steps);
  put("batch", flags.batch);
  put("bank", flags.bank);
  put("caches", flags.caches);
  put("axes", flags.axes);
  put("lr", flags.lr);
  put("seed", flags.seed);
  if (flags.flow) json["flow"] = flow_of(*flags.flow);
  return json;
}

nlohmann::json read_configuration(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw InputError("--config " + path + ": cannot be read");
  nlohmann::json configuration = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (configuration.is_discarded()) throw InputError("--config " + path + ": is not JSON");
  if (!configuration.is_object()) throw InputError("--config " + path + ": is not a JSON object");
  return configuration;
}

TrainingOptions options_of(const TrainFlags& flags) {
  const nlohmann::json flags_given = given(flags);
  if (flags.resume) {
    TrainingOptions saved = options_of_run(flags.out);
    TrainingOptions asked = saved;
    if (flags.config) asked.read(read_configuration(*flags.config));
    asked.read(flags_given);
    const nlohmann::json before = saved.to_json(), after = asked.to_json();
    for (const auto& [key, value] : after.items())
      if (value != before[key])
        throw InputError("--resume: the run in " + flags.out + " has " + key + " = " + before[key].dump() + ", not " +
                         value.dump() + "; a run goes on only with what it was started with");
    return saved;
  }
  nlohmann::json configuration = flags.config ? read_configuration(*flags.config) : nlohmann::json::object();
  if (flags.data) configuration["data"] = *flags.data;
  if (!configuration.contains("data") || !configuration["data"].is_string())
    throw InputError("--data is missing: " + dataset_names());
  const std::string data = configuration["data"];
  // The family that the flags, or else the file, ask for.
  std::string family = "resnet";
  for (const nlohmann::json& keys : {std::cref(std::as_const(configuration)), std::cref(flags_given)})
    if (const auto flow = keys.find("flow"); flow != keys.end() && flow->is_object())
      if (const auto name = flow->find("family"); name != flow->end() && name->is_string()) family = *name;
  TrainingOptions options = default_options(open_dataset(data), family);
  options.data = data;
  options.read(configuration);
  options.read(flags_given);
  return options;
}

class TrainListener : public RunListener {
 public:
  void note(const std::string& line) override { progress_.note(line); }
  void preparing(const std::string& doing) override {
    memory_is_for(doing);
    progress_.running(doing);
  }
  void logged(const StepReport& report, std::int64_t total_steps, const nlohmann::json& metrics) override {
    memory_is_for("training");
    const nlohmann::json& floor = metrics["irreducible_loss"];
    progress_.update(
        report.step, total_steps,
        fmt::format("loss {:.4g}{}  grad {:.3g}  {:.3g} ms/step", report.loss,
                    floor.is_null() ? std::string() : fmt::format(" (coupling's floor {:.3g})", floor.get<double>()),
                    report.grad_norm, 1e3 * report.step_seconds));
  }

 private:
  Progress progress_{"train"};
};

void train(const TrainFlags& flags) {
  if (flags.out.empty()) throw InputError("--out is missing: the folder that the model is written to");
  const TrainingOptions options = options_of(flags);
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  const RunOptions run{.out = flags.out,
                       .resume = flags.resume,
                       .device = flags.common.chosen_device(),
                       .log_every = flags.log_every,
                       .checkpoint_every = flags.checkpoint_every,
                       .max_seconds = flags.max_seconds,
                       .stop = &interrupted,
                       .debug = {.memory = flags.debug_memory, .finite = flags.check_finite}};
  RunSummary summary;
  {
    TrainListener listener;
    summary = run_training(options, run, listener);
  }
  if (flags.common.json) {
    const nlohmann::json result = {{"out", flags.out},
                                   {"steps_done", summary.steps_done},
                                   {"finished", summary.finished},
                                   {"training_seconds", summary.training_seconds},
                                   {"prepare_seconds", summary.prepare_seconds},
                                   {"coupling_seconds", summary.coupling_seconds},
                                   {"coupling_seconds_a_step", summary.coupling_seconds_a_step},
                                   {"wait_seconds_a_step", summary.wait_seconds_a_step},
                                   {"conditional_variance", std::isfinite(summary.conditional_variance)
                                                                ? nlohmann::json(summary.conditional_variance)
                                                                : nlohmann::json(nullptr)},
                                   {"images_per_second", summary.images_per_second},
                                   {"loss", summary.loss},
                                   {"collapse_rho", summary.collapse_rho},
                                   {"weights", summary.weight_count},
                                   {"activation_bytes", summary.activation_bytes},
                                   {"peak_bytes", summary.peak_bytes},
                                   {"device_peak_bytes", summary.device_peak_bytes},
                                   {"samples", summary.picture}};
    print_json(result);
    return;
  }
  if (summary.picture.empty()) return;  // it has said why
  fmt::print(
      "{} {} steps in {:.1f} s ({:.0f} pairs/s; coupling {:.1f} s); loss {:.4g}; collapse_rho {:.3f} (0: every sample "
      "is the mean, 1: none is lost)\n",
      summary.finished ? "trained" : "interrupted after", summary.steps_done, summary.training_seconds,
      summary.images_per_second, summary.coupling_seconds, summary.loss, summary.collapse_rho);
  fmt::print("peak memory {:.0f} MiB", static_cast<double>(summary.peak_bytes) / 1048576);
  if (summary.device_peak_bytes > 0)
    fmt::print(", {:.0f} MiB on the GPU", static_cast<double>(summary.device_peak_bytes) / 1048576);
  fmt::print("\n");
  fmt::print("model {}\npicture {}\n", (run.out / "model.safetensors").string(), summary.picture);
  if (!summary.finished) fmt::print("go on with: otnfm train --out {} --resume\n", flags.out);
}

template <class Table>
std::string about(const char* what, const Table& table) {
  std::string text = what;
  for (const auto& entry : table) text += fmt::format("\n  {}: {}", entry.name, entry.about);
  return text;
}

}  // namespace

void add_train(CommandLine& program) {
  Command command = program.add("train", "Train a one-step generator into a folder");
  auto flags = std::make_shared<TrainFlags>();
  command.option("--data", flags->data, "what to learn: " + dataset_names());
  command.option("--out", flags->out, "folder for model.safetensors, metrics.jsonl, samples.png and state.safetensors")
      .folder();
  command.option(
      "--source", flags->source,
      "what noise is: gaussian, gaussian-fit (the data's mean and covariance; default for images) or a data set");
  command.option("--coupling", flags->coupling, about("how noise and data are paired:", couplings()));
  command.option("--solver", flags->solver, about("of a minibatch coupling:", batch_solvers()));
  command.option(
      "--flow", flags->flow,
      about("the family of the map, and its keys: NAME[,key=value...], as resnet,blocks=6 (blocks, width, depth, "
            "activation, time_function, fourier_terms; coefficient of resnet-invertible and gru; mask, "
            "mask_seed, log_scale_bound of coupling; bins, box of coupling-spline; alpha, box of gru):",
            flow_families()));
  command.option("--standardise", flags->standardise,
                 "none, scalar (one unit for all columns) or columns (each its own): coordinates of mean 0 and "
                 "deviation 1, in which pairs and costs are taken; samples and likelihoods stay the data's own "
                 "(columns of a file, scalar where it looks like pictures; none for the rest)");
  command.option("--objective", flags->objective, about("what is minimised:", objectives()));
  command.option("--time-weighting", flags->time_weighting,
                 about("which times are learnt, and how much each counts:", time_weightings()));
  command.option("--steps", flags->steps, "training steps");
  command.option("--batch", flags->batch, "pairs a step");
  command.option("--bank", flags->bank,
                 "pairs of a global coupling; data of an online or semidiscrete one where the data are endless");
  command.option("--caches", flags->caches,
                 "noises that an online coupling keeps for each datum (1): more are learnt by heart less easily, but "
                 "the pairing takes longer to settle");
  command.option("--axes", flags->axes,
                 "principal axes of the data that a semidiscrete coupling's cost is taken on (images: 64); 0: all");
  command.option("--lr", flags->lr, "learning rate after the warm-up");
  command.option("--precision", flags->precision, "of matrix products: fp32, tf32 or bf16");
  command.option("--config", flags->config,
                 "JSON file with any of the keys that model.safetensors keeps under \"training\"; flags win");
  command.flag("--resume", flags->resume, "go on from state.safetensors in --out");
  command.option("--log-every", flags->log_every, "steps between lines of metrics.jsonl").positive();
  command.option("--checkpoint-every", flags->checkpoint_every, "steps between saved states; 0: about once a minute")
      .at_least(0);
  command.option("--max-seconds", flags->max_seconds, "stop training then, as if interrupted; 0: no limit").at_least(0);
  command.flag("--debug-memory", flags->debug_memory, "give every tensor an allocation of its own");
  command.flag("--check-finite", flags->check_finite,
               "search every op's output for NaN and infinity, and name the op (slow)");
  command.option("--seed", flags->seed, "seed of every random number (0)");
  flags->common.add_device(command);
  flags->common.add_threads(command);
  flags->common.add_json(command);
  command.run([flags] {
    flags->common.use_threads();
    train(*flags);
  });
}

}  // namespace otnfm
