#include "engine/train/run_state.h"

#include "engine/core/json_text.h"
#include "engine/generate/model_file.h"

namespace otnfm {
namespace {

constexpr const char* kStateKey = "otnfm_state";

struct FlatTensor {
  const char* name;
  View<float> (Parameters::*flat)() const;
};
constexpr FlatTensor kFlats[] = {{"values", &Parameters::values},
                                 {"first_moments", &Parameters::first_moments},
                                 {"second_moments", &Parameters::second_moments},
                                 {"averages", &Parameters::averages}};

constexpr const char* kCouplingPrefix = "coupling/";

}  // namespace

void append(const CouplingState& state, std::vector<NamedTensor>& tensors) {
  const auto each = [&](const auto& lists) {
    for (const auto& [name, values] : lists)
      tensors.push_back(
          named_tensor(kCouplingPrefix + name, View(values.data(), {static_cast<std::int64_t>(values.size())})));
  };
  each(state.integers);
  each(state.floats);
}

CouplingState coupling_state_of(const SafetensorsFile& file) {
  CouplingState state;
  for (const NamedTensor& tensor : file.tensors()) {
    if (!tensor.name.starts_with(kCouplingPrefix)) continue;
    const std::string name = tensor.name.substr(std::char_traits<char>::length(kCouplingPrefix));
    if (tensor.dtype == DType::int64)
      state.integers[name] = file.values<std::int64_t>(tensor.name, tensor.shape);
    else
      state.floats[name] = file.values<float>(tensor.name, tensor.shape);
  }
  return state;
}

void save_state(const std::filesystem::path& path, const Flow& flow, const Coupling& coupling, std::uint64_t step,
                std::uint64_t data_checksum, Stream& stream, const TrainingOptions& options) {
  const Parameters& parameters = flow.parameters();
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
  tensors.push_back(named_tensor("step", View<const std::uint64_t>(&step, {1})));
  tensors.push_back(named_tensor("data_checksum", View<const std::uint64_t>(&data_checksum, {1})));
  const CouplingState state = coupling.state();
  append(state, tensors);
  append_coordinates(flow.coordinates, tensors);
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

std::uint64_t step_of(const SafetensorsFile& state) {
  return state.values<std::uint64_t>("step", std::vector<std::int64_t>{1})[0];
}

void load_parameters(const SafetensorsFile& file, const Parameters& parameters, Stream& stream) {
  for (const FlatTensor& entry : kFlats) {
    const View<float> flat = (parameters.*entry.flat)();
    const std::vector<float> values = file.values<float>(entry.name, std::vector<std::int64_t>{flat.size()});
    copy_bytes(stream, flat.data, values.data(), values.size() * sizeof(float));
    stream.synchronize();
  }
}

}  // namespace otnfm
