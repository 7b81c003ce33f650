#include "engine/train/options.h"

#include <algorithm>

#include "engine/core/json_text.h"
#include "engine/core/table.h"
#include "engine/data/standardise.h"
#include "engine/objectives/objective.h"
#include "layers/flows/flow.h"

namespace otnfm {
namespace {

constexpr const char *kConfiguration = "training configuration", *kFlow = "flow";

struct NamedPrecision {
  const char* name;
  Precision precision;
};
constexpr NamedPrecision kPrecisions[] = {{name_of(Precision::float32), Precision::float32},
                                          {name_of(Precision::tf32), Precision::tf32},
                                          {name_of(Precision::bfloat16), Precision::bfloat16}};

/// What they were called.
std::vector<FormerWord> former_precisions() {
  return {{"fp32", {{"precision", std::string(name_of(Precision::float32))}}},
          {"bf16", {{"precision", std::string(name_of(Precision::bfloat16))}}}};
}

struct NamedSchedule {
  const char* name;
  Schedule::Kind kind;
};
constexpr NamedSchedule kSchedules[] = {{"constant", Schedule::Kind::constant}, {"cosine", Schedule::Kind::cosine}};

using Field = OptionField<TrainingOptions>;
constexpr OptionRange kCount{0, 0x1p31}, kShare{0, 1};

// Each is the command line's, the JSON's and the model file's. `flow`, which is no value but an object, and what
// couplings take of their own come to them in training_entries().
constexpr Field kOptions[] = {
    {.key = "data", .member = &TrainingOptions::data, .help = "what to learn"},
    {.key = "flip",
     .member = &TrainingOptions::flip,
     .help = "train on the images and on their mirror images, left to right; eval compares with the images alone"},
    {.key = "source",
     .member = &TrainingOptions::source,
     .help = "what noise is: gaussian, gaussian-fit (the data's mean and covariance) or a data set",
     .many = "gaussian-fit"},
    {.key = "coupling",
     .member = &TrainingOptions::coupling,
     .help = "how noise and data are paired",
     .words = [] { return words_of(couplings()); }},
    {.key = "standardise",
     .member = &TrainingOptions::standardise,
     .help = "coordinates of mean 0 and deviation 1, in which pairs and costs are taken; samples and likelihoods stay "
             "the data's own",
     .words = [] { return words_of(standardise_methods()); }},
    {.key = "objective",
     .member = &TrainingOptions::objective,
     .help = "what is minimised",
     .words = [] { return words_of(objectives()); }},
    {.key = "time_weighting",
     .member = &TrainingOptions::time_weighting,
     .help = "which times are learnt, and how much each counts",
     .words = [] { return words_of(time_weightings()); }},
    {.key = "steps",
     .member = &TrainingOptions::steps,
     .help = "training steps; with --resume more of them for a finished run",
     .range = kCount,
     .many = 8000.0},
    {.key = "batch", .member = &TrainingOptions::batch, .help = "pairs a step", .range = {1, 1 << 20}},
    {.key = "lr",
     .member = &TrainingOptions::lr,
     .help = "learning rate after the warm-up",
     .range = {0, 10},
     .many = 1e-3},
    {.key = "final_lr_fraction",
     .member = &TrainingOptions::final_lr_fraction,
     .help = "share of the learning rate that the cosine schedule ends at",
     .range = kShare},
    {.key = "warmup",
     .member = &TrainingOptions::warmup,
     .help = "steps in which the learning rate rises from 0, at most a tenth of them all",
     .range = kCount},
    {.key = "schedule",
     .member = &TrainingOptions::schedule,
     .help = "of the learning rate, after the warm-up",
     .words = [] { return words_of(std::span<const NamedSchedule>(kSchedules)); }},
    {.key = "weight_decay",
     .member = &TrainingOptions::weight_decay,
     .help = "AdamW's, of the weights that are matrices",
     .range = kShare},
    {.key = "beta2",
     .member = &TrainingOptions::beta2,
     .help = "AdamW's memory of squared gradients, some 1 / (1 - beta2) steps long",
     .range = {0, 0.99999}},
    {.key = "clip_norm",
     .member = &TrainingOptions::clip_norm,
     .help = "largest norm of a step's gradient; 0: any",
     .range = {0, 1e30}},
    {.key = "ema_decay",
     .member = &TrainingOptions::ema_decay,
     .help = "of the moving average of the weights, which samples are made with",
     .range = kShare},
    {.key = "precision",
     .member = OptionByWord<TrainingOptions>{
         [](const TrainingOptions& o) { return name_of(o.precision); },
         [](TrainingOptions& o, const std::string& word) {
           o.precision = find_by_name(std::span<const NamedPrecision>(kPrecisions), word, "precision").precision;
         }},
     .help = "of matrix products; bfloat16 also stores activations so",
     .words = [] { return words_of(std::span<const NamedPrecision>(kPrecisions)); },
     .former = former_precisions},
    {.key = "from",
     .member = &TrainingOptions::from,
     .help = "model.safetensors whose weights, flow and standardisation the run begins with; its data, source and "
             "held-out rows unless told"},
    {.key = "hold_out",
     .member = &TrainingOptions::hold_out,
     .help = "share of a file's rows that are not trained on and that eval compares with",
     .range = {0, 0.9}},
    {.key = "seed", .member = &TrainingOptions::seed, .help = "seed of every random number", .range = {0, 0x1p63}},
};

OptionEntry flow_entry() {
  return {.key = kFlow,
          .help = "the family of the map, and its keys: NAME[,key=value...], as resnet,blocks=6",
          .standard = "resnet",
          .words = words_of(flow_families())};
}

/// Without "flow".
std::vector<OptionEntry> value_entries() {
  std::vector<OptionEntry> all = training_entries();
  std::erase_if(all, [](const OptionEntry& entry) { return entry.key == kFlow; });
  return all;
}

void set(TrainingOptions& options, const std::string& key, const OptionValue& value) {
  const auto field = std::ranges::find_if(kOptions, [&](const Field& line) { return key == line.key; });
  if (field != std::end(kOptions))
    field->set(options, value);
  else
    options.of_couplings[key] = value;
}

void read_flow(const nlohmann::json& given, const std::string& name, nlohmann::json& flow) {
  if (!given.is_object()) throw InputError(name + " must be an object, not " + shown_json(given));
  // What suits one family need not suit another: a new one starts from its own defaults.
  if (given.contains("family") && given["family"] != flow["family"]) flow = nlohmann::json::object();
  flow.update(given);
  if (flow.contains("family") && flow["family"].is_string())
    (void)checked(flow_entry(), flow["family"].get<std::string>(), name);
}

}  // namespace

Schedule TrainingOptions::learning_rate_schedule() const {
  return {.kind = find_by_name(std::span<const NamedSchedule>(kSchedules), schedule, "schedule").kind,
          .base = static_cast<float>(lr),
          .final_fraction = static_cast<float>(final_lr_fraction),
          .warmup = std::min(warmup, steps / 10),
          .total = steps};
}

CouplingOptions TrainingOptions::coupling_options(Device device) const {
  return {.batch = batch,
          .own = own_options(find_by_name(couplings(), coupling, "coupling"), of_couplings),
          .seed = seed,
          .device = device};
}

OptionValues TrainingOptions::coupling_defaults() {
  OptionValues values;
  for (const OptionEntry& entry : otnfm::coupling_options()) values[entry.key] = entry.standard;
  return values;
}

nlohmann::json TrainingOptions::to_json() const {
  nlohmann::json json = {{kFlow, flow}};
  for (const Field& field : kOptions) json[field.key] = json_of(field.get(*this));
  for (const auto& [key, value] : of_couplings) json[key] = json_of(value);
  return json;
}

void TrainingOptions::read(const nlohmann::json& configuration, OptionNames names) {
  TrainingOptions changed = *this;  // so that an error leaves everything as it was
  nlohmann::json values = configuration;
  if (values.is_object()) values.erase(kFlow);
  static const std::vector<OptionEntry> entries = value_entries();
  const OptionValues given = read_options(entries, values, kConfiguration, names);
  for (const auto& [key, value] : given) set(changed, key, value);
  if (configuration.contains(kFlow))
    read_flow(configuration[kFlow], name_of_option(kFlow, kConfiguration, names), changed.flow);

  // What does not go together, and flows that cannot be made, are found here, so that a typing error costs nothing.
  const CouplingEntry& chosen = find_by_name(couplings(), changed.coupling, "coupling");
  if (chosen.check) chosen.check(own_options(chosen, changed.of_couplings));
  nlohmann::json trial = changed.flow;
  const FlowFamily* family = trial.contains("family") && trial["family"].is_string()
                                 ? &find_by_name(flow_families(), trial["family"].get<std::string>(), "flow")
                                 : nullptr;
  if (family != nullptr && family->image_preset != nullptr) {  // its keys go together with the images, which come later
    trial.erase("family");
    (void)read_options(family->options(), trial, std::string("flow ") + family->name, OptionNames::keys);
  } else {
    if (!trial.contains("dimension")) trial["dimension"] = 2;
    make_flow(trial);
  }
  try {
    (void)json_text(changed.to_json());  // a path may hold bytes that JSON, and so the model file, cannot
  } catch (const nlohmann::json::exception&) {
    throw InputError("the names of --data, --source and the rest must be UTF-8");
  }
  *this = std::move(changed);
}

const std::vector<OptionEntry>& training_entries() {
  static const std::vector<OptionEntry> all = [] {
    std::vector<OptionEntry> entries;
    for (OptionEntry& entry : entries_of(kOptions)) {
      entries.push_back(std::move(entry));
      if (entries.back().key != "coupling") continue;
      std::ranges::copy(coupling_options(), std::back_inserter(entries));
      entries.push_back(flow_entry());
    }
    entries.front().help += ": " + dataset_names();
    return entries;
  }();
  return all;
}

DataKind kind_of(const Dataset& dataset) {
  if (dataset.is_images() || dataset.dimension() > kFewDimensionsLimit) return DataKind::many_dimensions;
  return dataset.endless() ? DataKind::endless : DataKind::few_dimensions;
}

TrainingOptions default_options(DataKind kind, const std::string& family) {
  TrainingOptions options;
  const FlowFamily& flow = find_by_name(flow_families(), family, "flow");
  options.flow["family"] = family;
  if (kind != DataKind::many_dimensions) {
    options.lr = flow.learning_rate;
    options.steps = flow.steps;
  }
  for (const OptionEntry& entry : training_entries())
    if (const OptionValue value = entry.default_for(kind); value != entry.standard) set(options, entry.key, value);
  return options;
}

TrainingOptions default_options(const Dataset& dataset, const std::string& family) {
  TrainingOptions options = default_options(kind_of(dataset), family);
  options.data = dataset.name();
  return options;
}

}  // namespace otnfm
