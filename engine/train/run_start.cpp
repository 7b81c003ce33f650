#include "engine/train/run_start.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "engine/core/json_text.h"
#include "engine/generate/model_file.h"
#include "kernels/error.h"

namespace otnfm {

SavedRun read_saved_run(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "state.safetensors";
  // A folder without a run stays as it is.
  std::unique_ptr<FolderLock> lock = std::filesystem::exists(path) ? std::make_unique<FolderLock>(folder) : nullptr;
  return {std::move(lock), SafetensorsFile::load(path)};
}

void read_from(RunStart& start) {
  if (!start.state && !start.from && !start.options.from.empty())
    start.from = SafetensorsFile::load(start.options.from);
}

StandardisedPair ends_of(const RunStart& start, const Dataset& data) {
  const TrainingOptions& options = start.options;
  const NamedSource source(options.source);
  if (start.state) return standardise_pair(source, data, read_coordinates(*start.state, data.dimension()));
  if (!start.from || options.standardise != "automatic") return standardise_pair(source, data, options.standardise);

  FlowCoordinates coordinates = read_coordinates(*start.from, data.dimension());
  // Another source than the model's has a mean and a scale of its own.
  const bool same_source = read_model_configuration(*start.from)["source"] == options.source;
  StandardisedData of_source;
  if (!same_source) {
    of_source = standardise_source(source, {.method = "as before", .standardisation = coordinates.target, .notes = {}},
                                   "automatic");
    coordinates.source = of_source.standardisation;
  }
  StandardisedPair pair = standardise_pair(source, data, coordinates);
  if (!same_source) pair.about = fmt::format("data as before, source by {}", of_source.method);
  pair.notes = std::move(of_source.notes);
  return pair;
}

void begin_with(const SafetensorsFile& model_file, Flow& flow) {
  const Parameters& own = flow.parameters();
  Stream stream(own.device());
  for (const auto& [weights, to] : {std::pair{Weights::trained, own.values()}, {Weights::averaged, own.averages()}}) {
    const Model model = load_model(model_file, own.device(), weights);
    const nlohmann::json theirs = model.flow->configuration(), ours = flow.configuration();
    for (const auto& [key, value] : ours.items())
      if (theirs.value(key, nlohmann::json()) != value)
        throw InputError(fmt::format("--from {}: its flow has {} = {}, not {}", model_file.path(), key,
                                     json_text(theirs.value(key, nlohmann::json())), json_text(value)));
    const View<float> from = model.flow->parameters().values();
    if (from.size() != to.size()) throw InputError("--from " + model_file.path() + ": has another number of weights");
    copy_bytes(stream, to.data, from.data, static_cast<std::size_t>(to.size()) * sizeof(float));
    stream.synchronize();
  }
}

}  // namespace otnfm
