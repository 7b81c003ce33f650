// otnfm train: a flow on coupled pairs, into a folder.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "engine/core/json_text.h"
#include "engine/generate/model_file.h"
#include "engine/train/run_start.h"
#include "engine/train/run_state.h"
#include "engine/train/training_run.h"
#include "layers/flows/flow.h"
#include "tools/command.h"
#include "tools/out_of_memory.h"
#include "tools/progress.h"

namespace otnfm {
namespace {

std::atomic<bool> interrupted{false};
std::atomic<bool> terminated{false};  // by SIGTERM, which a service ends a run by that is to go on later

void on_signal(int signal) {
  if (signal == SIGTERM) terminated.store(true);
  interrupted.store(true);
  std::signal(signal, SIG_DFL);  // a second one ends the program at once
}

/// What was given on the command line; the rest comes from the configuration file, then from the data's defaults.
struct TrainFlags {
  CommonFlags common;
  // By key: what the options of training_entries() were given.
  std::map<std::string, std::optional<std::string>> texts;
  std::map<std::string, std::optional<std::int64_t>> integers;
  std::map<std::string, std::optional<double>> numbers;
  std::map<std::string, bool> switches;
  std::optional<std::string> config;
  std::string out;
  bool resume = false, debug_memory = false, check_finite = false;
  std::int64_t log_every = 100, checkpoint_every = 0;
  double max_seconds = 0;
};

/// Whether the key of the family is a text, though what is said may look like a number: unet's attention=4.
bool is_text(const std::string& family, const std::string& key) {
  for (const FlowFamily& known : flow_families())
    if (family == known.name)
      for (const OptionEntry& entry : known.options())
        if (entry.key == key) return std::holds_alternative<std::string>(entry.standard);
  return false;
}

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
    const std::string key = part.substr(0, equals), value = part.substr(equals + 1);
    nlohmann::json parsed = parse_json(value);
    if (parsed.is_discarded() || is_text(flow["family"], key)) parsed = value;
    flow[key] = std::move(parsed);
  }
  return flow;
}

nlohmann::json given(const TrainFlags& flags) {
  nlohmann::json json = nlohmann::json::object();
  const auto put = [&](const auto& values) {
    for (const auto& [key, value] : values)
      if (value) json[key] = *value;
  };
  put(flags.texts);
  put(flags.integers);
  put(flags.numbers);
  for (const auto& [key, on] : flags.switches)
    if (on) json[key] = true;
  if (json.contains("flow")) json["flow"] = flow_of(json["flow"]);
  return json;
}

nlohmann::json read_configuration(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw InputError("--config " + path + ": cannot be read");
  nlohmann::json configuration = parse_json(std::string(std::istreambuf_iterator<char>(file), {}));
  if (configuration.is_discarded()) throw InputError("--config " + path + ": is not JSON");
  if (!configuration.is_object()) throw InputError("--config " + path + ": is not a JSON object");
  return configuration;
}

/// What a run that begins with a model's weights has of it, unless told otherwise.
nlohmann::json configuration_from(const SafetensorsFile& model) {
  const nlohmann::json configuration = read_model_configuration(model);
  nlohmann::json result = {
      {"data", configuration["data"]}, {"source", configuration["source"]}, {"flow", configuration["flow"]}};
  result["flow"].erase("dimension");
  return result;
}

/// Rows that a model has not seen stay unseen by a run that begins with it, where the data are the same.
void hold_out_as_in(const SafetensorsFile& model, const Dataset& data, const nlohmann::json& flags,
                    nlohmann::json& configuration) {
  const nlohmann::json of_model = read_model_configuration(model);
  const nlohmann::json training = of_model.value("training", nlohmann::json::object());
  if (flags.contains("hold_out") || configuration.contains("hold_out") || data.endless() ||
      of_model.value("data_checksum", nlohmann::json()) != data.checksum() || !training.is_object())
    return;
  const auto share = training.find("hold_out"), seed = training.find("seed");
  if (share == training.end() || !share->is_number() || *share == 0 || seed == training.end()) return;
  // Which rows they are is chosen by the seed.
  const nlohmann::json own = flags.value("seed", configuration.value("seed", *seed));
  if (own != *seed)
    throw InputError(
        fmt::format("--from {}: seed {} chose the rows that it has not seen, and seed {} would train on "
                    "some of them: leave out the seed, or say --hold-out",
                    model.path(), json_text(*seed), json_text(own)));
  configuration["hold_out"] = *share;
  configuration["seed"] = *seed;
}

RunStart start_of_resumed(const TrainFlags& flags) {
  SavedRun run = read_saved_run(flags.out);
  TrainingOptions saved = options_of_state(run.state), asked = saved;
  if (flags.config) asked.read(read_configuration(*flags.config));
  asked.read(given(flags), OptionNames::flags);
  // A finished run may be given more steps; from there on it is as if it had been started with them.
  if (step_of(run.state) == static_cast<std::uint64_t>(saved.steps) && asked.steps > saved.steps)
    saved.steps = asked.steps;
  const nlohmann::json before = saved.to_json(), after = asked.to_json();
  for (const auto& [key, value] : after.items())
    if (value != before[key])
      throw InputError("--resume: the run in " + flags.out + " has " + key + " = " + json_text(before[key]) + ", not " +
                       json_text(value) + "; a run goes on only with what it was started with");
  Dataset data = open_dataset(saved.data);
  return {
      .options = std::move(saved), .data = std::move(data), .state = std::move(run.state), .lock = std::move(run.lock)};
}

RunStart start_of(const TrainFlags& flags) {
  if (flags.resume) return start_of_resumed(flags);
  const nlohmann::json flags_given = given(flags);
  nlohmann::json configuration = nlohmann::json::object();
  std::optional<SafetensorsFile> from;
  if (flags_given.contains("from")) {
    from = SafetensorsFile::load(flags_given["from"].get<std::string>());
    configuration = configuration_from(*from);
  }
  if (flags.config) configuration.update(read_configuration(*flags.config));
  if (flags_given.contains("data")) configuration["data"] = flags_given["data"];
  if (!configuration.contains("data") || !configuration["data"].is_string())
    throw InputError("--data is missing: " + dataset_names());
  const std::string data = configuration["data"];
  // The family that the flags, or else the file, ask for; one that there is not is refused as it is read.
  std::string family = "resnet";
  for (const nlohmann::json& keys : {std::cref(std::as_const(configuration)), std::cref(flags_given)})
    if (const auto flow = keys.find("flow"); flow != keys.end() && flow->is_object())
      for (const FlowFamily& known : flow_families())
        if (flow->value("family", nlohmann::json()) == known.name) family = known.name;
  Dataset opened = open_dataset(data);
  if (from) hold_out_as_in(*from, opened, flags_given, configuration);
  TrainingOptions options = default_options(opened, family);
  options.data = data;
  options.read(configuration);
  options.read(flags_given, OptionNames::flags);
  return {.options = std::move(options), .data = std::move(opened), .from = std::move(from)};
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
    const nlohmann::json floor = metrics.value("irreducible_loss", nlohmann::json());
    progress_.update(
        report.step, total_steps,
        fmt::format("loss {:.4g}{}  grad {:.3g}  {:.3g} ms/step", report.loss,
                    floor.is_null() ? std::string() : fmt::format(" (coupling's floor {:.3g})", floor.get<double>()),
                    report.grad_norm, 1e3 * report.step_seconds));
  }

 private:
  Progress progress_{"train"};
};

nlohmann::json json_of(const TrainFlags& flags, const RunSummary& summary) {
  return {{"out", flags.out},
          {"steps_done", summary.steps_done},
          {"finished", summary.finished},
          {"interrupted", summary.interrupted},
          {"seconds", summary.seconds},
          {"training_seconds", summary.training_seconds},
          {"prepare_seconds", summary.prepare_seconds},
          {"pairing_seconds", summary.pairing_seconds},
          {"coupling_seconds", summary.coupling_seconds},
          {"wait_seconds", summary.wait_seconds},
          {"conditional_variance", number_or_null(summary.conditional_variance)},
          {"relative_conditional_variance", number_or_null(summary.relative_conditional_variance)},
          {"images_per_second", summary.images_per_second},
          {"loss", number_or_null(summary.loss)},
          {"collapse_rho", number_or_null(summary.collapse_rho)},
          {"weights", summary.weight_count},
          {"activation_bytes", summary.activation_bytes},
          {"peak_bytes", summary.peak_bytes},
          {"device_peak_bytes", summary.device_peak_bytes},
          {"samples", summary.picture.empty() ? nlohmann::json() : nlohmann::json(summary.picture)}};
}

void print(const TrainFlags& flags, const RunSummary& summary) {
  const char* what = summary.finished ? "trained" : summary.interrupted ? "interrupted after" : "out of time after";
  fmt::print("{} {} steps in {:.1f} s ({:.0f} pairs/s; {:.1f} s of it for pairs; {:.1f} s before it to prepare them)",
             what, summary.steps_done, summary.training_seconds, summary.images_per_second, summary.pairing_seconds,
             summary.prepare_seconds);
  if (std::isfinite(summary.loss)) fmt::print("; loss {:.4g}", summary.loss);
  if (std::isfinite(summary.collapse_rho))
    fmt::print("; collapse_rho {:.3f} (0: every sample is the mean, 1: none is lost)", summary.collapse_rho);
  fmt::print("\npeak memory {:.0f} MiB", static_cast<double>(summary.peak_bytes) / 1048576);
  if (summary.device_peak_bytes > 0)
    fmt::print(", {:.0f} MiB on the GPU", static_cast<double>(summary.device_peak_bytes) / 1048576);
  fmt::print("\nmodel {}\npicture {}\n", (std::filesystem::path(flags.out) / "model.safetensors").string(),
             summary.picture);
  if (!summary.finished) fmt::print("go on with: otnfm train --out {} --resume\n", flags.out);
}

void train(const TrainFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  if (flags.out.empty()) throw InputError("--out is missing: the folder that the model is written to");
  RunStart beginning = start_of(flags);
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  const Device device = flags.common.chosen_device();
  const double spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const RunOptions run{.out = flags.out,
                       .device = device,
                       .log_every = flags.log_every,
                       .checkpoint_every = flags.checkpoint_every,
                       .max_seconds = flags.max_seconds > 0 ? std::max(1e-9, flags.max_seconds - spent) : 0,
                       .stop = &interrupted,
                       .debug = {.memory = flags.debug_memory, .finite = flags.check_finite}};
  RunSummary summary;
  {
    TrainListener listener;
    summary = run_training(std::move(beginning), run, listener);
  }
  if (flags.common.json) print_json(json_of(flags, summary));
  const bool trained = !summary.picture.empty(), has_state = trained || summary.steps_done > 0;
  if (trained && !flags.common.json) print(flags, summary);
  if (summary.interrupted && !(has_state && terminated)) throw Interrupted();
  if (!has_state && !summary.interrupted)
    throw RunError(fmt::format("--max-seconds {}: time was out before the first step", flags.max_seconds));
}

/// A flag for every option that a run can have.
void add_options(Command& command, TrainFlags& flags) {
  for (const OptionEntry& entry : training_entries()) {
    const std::string flag = flag_of(entry.key), help = help_of(entry);
    if (std::holds_alternative<std::string>(entry.standard)) {
      command.option(flag, flags.texts[entry.key], help);
      continue;
    }
    if (std::holds_alternative<bool>(entry.standard)) {
      command.flag(flag, flags.switches[entry.key], help);
      continue;
    }
    Option option = std::holds_alternative<double>(entry.standard)
                        ? command.option(flag, flags.numbers[entry.key], help)
                        : command.option(flag, flags.integers[entry.key], help);
    if (entry.range.bounded_above())
      option.between(entry.range.least, entry.range.most);
    else
      option.at_least(entry.range.least);
  }
}

}  // namespace

void add_train(CommandLine& program) {
  Command command = program.add("train", "Train a one-step generator into a folder");
  auto flags = std::make_shared<TrainFlags>();
  command.option("--out", flags->out, "folder for model.safetensors, metrics.jsonl, samples.png and state.safetensors")
      .folder();
  add_options(command, *flags);
  command.option("--config", flags->config,
                 "JSON file with any of the keys that model.safetensors keeps under \"training\"; flags win");
  command.flag("--resume", flags->resume, "go on from state.safetensors in --out");
  command.option("--log-every", flags->log_every, "steps between lines of metrics.jsonl").positive();
  command.option("--checkpoint-every", flags->checkpoint_every, "steps between saved states; 0: about once a minute")
      .at_least(0);
  command
      .option("--max-seconds", flags->max_seconds,
              "stop pairing and training then, as if interrupted, and save what there is, which takes a little longer; "
              "exit 1 where that is before the first step of the run; 0: no limit")
      .at_least(0);
  command.flag("--debug-memory", flags->debug_memory, "give every tensor an allocation of its own");
  command.flag("--check-finite", flags->check_finite,
               "search every op's output for NaN and infinity, and name the op (slow)");
  flags->common.add_device(command);
  flags->common.add_threads(command);
  flags->common.add_json(command);
  command.run([flags] {
    flags->common.use_threads();
    train(*flags);
  });
}

}  // namespace otnfm
