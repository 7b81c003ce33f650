#include "engine/train/run_state.h"

#include <vector>

#include "engine/core/json_text.h"
#include "engine/generate/model_file.h"

namespace otnfm {
namespace {

constexpr const char *kStateKey = "otnfm_state", *kStep = "step", *kDataChecksum = "data_checksum";

struct FlatTensor {
  const char* name;
  View<float> (Parameters::*flat)() const;
};
constexpr FlatTensor kFlats[] = {{"values", &Parameters::values},
                                 {"first_moments", &Parameters::first_moments},
                                 {"second_moments", &Parameters::second_moments},
                                 {"averages", &Parameters::averages}};

constexpr const char* kObjectivePrefix = "objective/";

std::uint64_t number_of(const SafetensorsFile& file, const char* name) {
  return file.values<std::uint64_t>(name, std::vector<std::int64_t>{1})[0];
}

}  // namespace

void save_state(const std::filesystem::path& path, const RunState& state, Stream& stream,
                const TrainingOptions& options) {
  const Parameters& parameters = state.flow.parameters();
  std::vector<std::vector<float>> copies;
  std::vector<NamedTensor> tensors;
  for (const FlatTensor& entry : kFlats) {
    const View<float> flat = (parameters.*entry.flat)();
    copies.emplace_back(flat.size());
    copy_bytes(stream, copies.back().data(), flat.data, copies.back().size() * sizeof(float));
  }
  stream.synchronize();
  for (std::size_t k = 0; k < copies.size(); ++k)
    tensors.push_back(named_tensor(kFlats[k].name,
                                   View<const float>(copies[k].data(), {static_cast<std::int64_t>(copies[k].size())})));
  tensors.push_back(named_tensor(kStep, View<const std::uint64_t>(&state.step, {1})));
  tensors.push_back(named_tensor(kDataChecksum, View<const std::uint64_t>(&state.data_checksum, {1})));
  append(state.coupling, kCouplingPrefix, tensors);
  append(state.objective, kObjectivePrefix, tensors);
  append_coordinates(state.flow.coordinates, tensors);
  write_safetensors(path, tensors, {{kStateKey, json_text(options.to_json())}});
}

TrainingOptions options_of_state(const SafetensorsFile& file) {
  const auto found = file.metadata().find(kStateKey);
  if (found == file.metadata().end()) throw InputError(file.path() + ": is not the state of a training run");
  const nlohmann::json saved = parse_json(found->second);
  if (!saved.is_object()) throw InputError(file.path() + ": its configuration is not a JSON object");
  TrainingOptions options;
  options.standardise = "none";  // a run from before there was a choice
  options.read(saved);
  return options;
}

SavedLists coupling_state_of(const SafetensorsFile& file) {
  return lists_of(file, kCouplingPrefix);
}

SavedLists objective_state_of(const SafetensorsFile& file) {
  return lists_of(file, kObjectivePrefix);
}

std::uint64_t step_of(const SafetensorsFile& file) {
  return number_of(file, kStep);
}

std::uint64_t data_checksum_of(const SafetensorsFile& file) {
  return number_of(file, kDataChecksum);
}

void load_parameters(const SafetensorsFile& file, Parameters& parameters, Stream& stream) {
  for (const FlatTensor& entry : kFlats) {
    const View<float> flat = (parameters.*entry.flat)();
    const std::vector<float> values = file.values<float>(entry.name, std::vector<std::int64_t>{flat.size()});
    copy_bytes(stream, flat.data, values.data(), values.size() * sizeof(float));
    stream.synchronize();
  }
  if (parameters.working_copies().data != nullptr) parameters.make_working_copy(stream);
}

}  // namespace otnfm
