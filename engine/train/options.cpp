#include "engine/train/options.h"

#include <algorithm>

#include "engine/core/configuration.h"
#include "engine/core/json_text.h"
#include "engine/core/table.h"
#include "engine/couplings/batch_solver.h"
#include "engine/data/standardise.h"
#include "engine/objectives/objective.h"
#include "layers/flows/flow.h"

namespace otnfm {
namespace {

struct NamedPrecision {
  const char* name;
  Precision precision;
};
constexpr NamedPrecision kPrecisions[] = {
    {"fp32", Precision::float32}, {"tf32", Precision::tf32}, {"bf16", Precision::bfloat16}};

struct NamedSchedule {
  const char* name;
  Schedule::Kind kind;
};
/// What trains a family well on points of few dimensions.
struct FamilyPreset {
  const char* name;
  double lr;
  std::int64_t steps;
};
constexpr FamilyPreset kFamilyPresets[] = {{"resnet", 2e-3, 20000},
                                           {"resnet-invertible", 6e-3, 8000},
                                           {"gru", 1e-2, 5000},
                                           {"coupling", 4e-3, 8000},
                                           {"coupling-spline", 2e-3, 8000}};

constexpr NamedSchedule kSchedules[] = {{"constant", Schedule::Kind::constant}, {"cosine", Schedule::Kind::cosine}};

}  // namespace

Schedule TrainingOptions::learning_rate_schedule() const {
  return {.kind = find_by_name(std::span<const NamedSchedule>(kSchedules), schedule, "schedule").kind,
          .base = static_cast<float>(lr),
          .final_fraction = static_cast<float>(final_lr_fraction),
          .warmup = std::min(warmup, steps / 10),
          .total = steps};
}

Precision TrainingOptions::matmul_precision() const {
  return find_by_name(std::span<const NamedPrecision>(kPrecisions), precision, "precision").precision;
}

CouplingOptions TrainingOptions::coupling_options(Device device) const {
  return {.batch = batch,
          .bank = bank,
          .caches = caches,
          .axes = axes,
          .solver = solver,
          .pairs = pairs,
          .seed = seed,
          .device = device};
}

nlohmann::json TrainingOptions::to_json() const {
  return {{"data", data},
          {"hold_out", hold_out},
          {"from", from},
          {"source", source},
          {"coupling", coupling},
          {"solver", solver},
          {"pairs", pairs},
          {"standardise", standardise},
          {"objective", objective},
          {"time_weighting", time_weighting},
          {"flow", flow},
          {"steps", steps},
          {"batch", batch},
          {"bank", bank},
          {"caches", caches},
          {"axes", axes},
          {"lr", lr},
          {"final_lr_fraction", final_lr_fraction},
          {"warmup", warmup},
          {"weight_decay", weight_decay},
          {"clip_norm", clip_norm},
          {"ema_decay", ema_decay},
          {"schedule", schedule},
          {"precision", precision},
          {"seed", seed}};
}

void TrainingOptions::read(const nlohmann::json& configuration) {
  TrainingOptions changed = *this;  // so that an error leaves everything as it was
  changed.read_unchecked(configuration);
  // Names are looked up here, so that a typing error costs nothing.
  const bool one_to_one = find_by_name(couplings(), changed.coupling, "coupling").one_to_one;
  find_by_name(objectives(), changed.objective, "objective");
  time_weighting_by_name(changed.time_weighting);
  pairing_options(changed.solver, changed.pairs, one_to_one, ("the " + changed.coupling + " coupling").c_str());
  check_standardise_name(changed.standardise);
  (void)changed.learning_rate_schedule();
  (void)changed.matmul_precision();
  nlohmann::json trial = changed.flow;
  if (!trial.contains("dimension")) trial["dimension"] = 2;
  make_flow(trial);
  try {
    (void)json_text(changed.to_json());  // a path may hold bytes that JSON, and so the model file, cannot
  } catch (const nlohmann::json::exception&) {
    throw InputError("the names of --data, --source and the rest must be UTF-8");
  }
  *this = std::move(changed);
}

void TrainingOptions::read_unchecked(const nlohmann::json& configuration) {
  ConfigurationReader reader(configuration, "training configuration");
  reader.text("data", data);
  reader.number("hold_out", hold_out, 0, 0.9);
  reader.text("from", from);
  reader.text("source", source);
  reader.text("coupling", coupling);
  reader.text("solver", solver);
  reader.text("pairs", pairs);
  // How models of versions before 0.2 name sinkhorn and its pairs.
  for (const PlanPairsEntry& entry : plan_pairs())
    if (solver == std::string("sinkhorn-") + entry.name) {
      solver = name_of(TransportSolver::sinkhorn);
      pairs = entry.name;
    }
  reader.text("standardise", standardise);
  reader.text("objective", objective);
  reader.text("time_weighting", time_weighting);
  reader.integer("steps", steps, 0, std::int64_t{1} << 31);
  reader.integer("batch", batch, 1, 1 << 20);
  reader.integer("bank", bank, 1, std::int64_t{1} << 24);
  reader.integer("caches", caches, 1, 64);
  reader.integer("axes", axes, 0, 1 << 20);
  reader.number("lr", lr, 0, 10);
  reader.number("final_lr_fraction", final_lr_fraction, 0, 1);
  reader.integer("warmup", warmup, 0, std::int64_t{1} << 31);
  reader.number("weight_decay", weight_decay, 0, 1);
  reader.number("clip_norm", clip_norm, 0, 1e30);
  reader.number("ema_decay", ema_decay, 0, 1);
  reader.text("schedule", schedule);
  reader.text("precision", precision);
  std::int64_t given_seed = static_cast<std::int64_t>(seed);
  reader.integer("seed", given_seed, 0, INT64_MAX);
  seed = static_cast<std::uint64_t>(given_seed);
  reader.ignore("flow");
  reader.finish();
  if (configuration.contains("flow")) {
    if (!configuration["flow"].is_object()) throw InputError("training configuration: \"flow\" must be an object");
    // What suits one family need not suit another: a new one starts from its own defaults.
    const nlohmann::json& given = configuration["flow"];
    if (given.contains("family") && given["family"] != flow["family"]) flow = nlohmann::json::object();
    flow.update(given);
  }
}

TrainingOptions default_options(const Dataset& dataset, const std::string& family) {
  TrainingOptions options;
  options.data = dataset.name();
  options.flow["family"] = family;
  if (dataset.is_images() || dataset.dimension() > 16) {
    options.source = "gaussian-fit";
    options.lr = 1e-3;
    options.steps = 8000;
    options.axes = 64;
  } else {
    for (const FamilyPreset& preset : kFamilyPresets)
      if (family == preset.name) options.lr = preset.lr, options.steps = preset.steps;
    // A bank's own sampling noise is in every sample of the model: 16384 pairs cost 12% of W2 at n = 4096, these 3%.
    if (dataset.endless()) options.bank = 65536;
  }
  return options;
}

}  // namespace otnfm
