#include "engine/generate/model_file.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "engine/core/json_text.h"

namespace otnfm {
namespace {

constexpr const char* kKey = "otnfm";
constexpr int kVersion = 1, kStandardisedVersion = 2;  // a program that knows 1 alone must not sample from 2

std::vector<float> download(Stream& stream, const View<float>& flat) {
  std::vector<float> host(flat.size());
  copy_bytes(stream, host.data(), flat.data, host.size() * sizeof(float));
  stream.synchronize();
  return host;
}

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw InputError(path + ": " + what);
}

Source source_of(const SafetensorsFile& file, const nlohmann::json& configuration, std::int64_t d) {
  const std::string name = configuration.at("source").get<std::string>();
  if (name == "gaussian") return Source::gaussian(d);
  if (name == "gaussian-fit") {
    const auto floats = [&](const char* tensor_name) {
      const NamedTensor& tensor = file.tensor(tensor_name);
      return file.values<float>(tensor_name, tensor.shape);
    };
    GaussianParameters fit{.mean = floats("source/mean"), .factor = floats("source/factor"), .diagonal = {}};
    if (file.contains("source/diagonal")) fit.diagonal = floats("source/diagonal");
    return Source::gaussian_fit(std::move(fit));
  }
  return Source::dataset(open_dataset(name));
}

constexpr const char *kSourceCoordinates = "standardise/source/", *kTargetCoordinates = "standardise/target/";

Standardisation standardisation_of(const SafetensorsFile& file, const std::string& prefix, std::int64_t d) {
  if (!file.contains(prefix + "shift")) return {};
  Standardisation result{.shift = file.values<float>(prefix + "shift", std::vector<std::int64_t>{d}),
                         .scale = file.values<float>(prefix + "scale", std::vector<std::int64_t>{d})};
  for (std::size_t j = 0; j < result.shift.size(); ++j)
    if (!std::isfinite(result.shift[j]) || !(result.scale[j] > 0) || !std::isfinite(result.scale[j]) ||
        !std::isfinite(1 / result.scale[j]))
      fail(file.path(), "column " + std::to_string(j) + " of " + prefix + " has shift " +
                            std::to_string(result.shift[j]) + " and scale " + std::to_string(result.scale[j]));
  return result;
}

/// The tensors refer to the coordinates.
void append(const Standardisation& standardisation, const std::string& prefix, std::vector<NamedTensor>& tensors) {
  if (standardisation.identity()) return;
  const auto d = static_cast<std::int64_t>(standardisation.shift.size());
  tensors.push_back(named_tensor(prefix + "shift", View<const float>(standardisation.shift.data(), {d})));
  tensors.push_back(named_tensor(prefix + "scale", View<const float>(standardisation.scale.data(), {d})));
}

bool is_sample_shape(const nlohmann::json& j) {
  if (!j.is_array() || (j.size() != 1 && j.size() != 3)) return false;
  const int most = j.size() == 1 ? 1 << 24 : 65536;
  return std::all_of(j.begin(), j.end(),
                     [&](const nlohmann::json& size) { return size.is_number_integer() && size >= 1 && size <= most; });
}

/// "image": [C, H, W] or null, of files that have no "sample_shape" yet. Their colours lay in planes, of which no
/// picture is made any more.
void take_former_shape(nlohmann::json& configuration) {
  const nlohmann::json image = configuration["image"];
  if (image.is_null() || (is_sample_shape(image) && image.size() == 3 && image[0] != 1))
    configuration["sample_shape"] = {configuration["dimension"]};
  else if (is_sample_shape(image) && image.size() == 3)
    configuration["sample_shape"] = {image[1], image[2], image[0]};
  configuration.erase("image");
}

}  // namespace

FlowCoordinates read_coordinates(const SafetensorsFile& file, std::int64_t d) {
  return {.source = standardisation_of(file, kSourceCoordinates, d),
          .target = standardisation_of(file, kTargetCoordinates, d)};
}

void append_coordinates(const FlowCoordinates& coordinates, std::vector<NamedTensor>& tensors) {
  append(coordinates.source, kSourceCoordinates, tensors);
  append(coordinates.target, kTargetCoordinates, tensors);
}

nlohmann::json read_model_configuration(const SafetensorsFile& file) {
  const auto found = file.metadata().find(kKey);
  if (found == file.metadata().end()) fail(file.path(), "is not a model of otnfm: its metadata has no \"otnfm\"");
  nlohmann::json configuration = parse_json(found->second);
  if (!configuration.is_object()) fail(file.path(), "the metadata's \"otnfm\" is not a JSON object");
  const auto has = [&](const char* key, bool (*is)(const nlohmann::json&)) {
    if (!configuration.contains(key) || !is(configuration[key]))
      fail(file.path(), std::string("the metadata's \"") + key + "\" is missing or of the wrong type");
  };
  has("version", [](const nlohmann::json& j) { return j.is_number_integer(); });
  if (configuration["version"] != kVersion && configuration["version"] != kStandardisedVersion)
    fail(file.path(), "is of version " + json_text(configuration["version"]) + ", this program reads versions " +
                          std::to_string(kVersion) + " and " + std::to_string(kStandardisedVersion));
  has("data", [](const nlohmann::json& j) { return j.is_string(); });
  has("source", [](const nlohmann::json& j) { return j.is_string(); });
  has("dimension", [](const nlohmann::json& j) { return j.is_number_integer(); });
  has("flow", [](const nlohmann::json& j) { return j.is_object(); });
  if (configuration.contains("image") && !configuration.contains("sample_shape")) take_former_shape(configuration);
  has("sample_shape", is_sample_shape);
  return configuration;
}

Model load_model(const std::filesystem::path& path, Device device, Weights weights) {
  return load_model(SafetensorsFile::load(path), device, weights);
}

Model load_model(const SafetensorsFile& file, Device device, Weights weights) {
  nlohmann::json configuration = read_model_configuration(file);
  std::unique_ptr<Flow> flow = make_flow(configuration["flow"]);
  if (configuration["dimension"] != flow->dimension())
    fail(file.path(), "the flow has " + std::to_string(flow->dimension()) + " dimensions, the data " +
                          json_text(configuration["dimension"]));
  const nlohmann::json& shape = configuration["sample_shape"];
  if (size_of(shape.get<Shape>()) != flow->dimension())
    fail(file.path(),
         "samples of " + json_text(shape) + " do not have " + std::to_string(flow->dimension()) + " numbers");

  const std::string prefix = weights == Weights::averaged ? "ema/" : "weights/";
  Parameters& parameters = flow->parameters();
  for (int k = 0; k < parameters.count(); ++k) {
    const NamedTensor& tensor = file.tensor(prefix + parameters.name(k));
    if (tensor.dtype != DType::float32 || tensor.shape != parameters.shape(k))
      fail(file.path(), "tensor " + tensor.name + " has another type or shape than the configuration says");
  }
  parameters.allocate(device, 0, /*training=*/false);
  Stream stream(device);
  for (int k = 0; k < parameters.count(); ++k) {
    const NamedTensor& tensor = file.tensor(prefix + parameters.name(k));
    const std::vector<float> values = file.values<float>(tensor.name, tensor.shape);
    for (float value : values)
      if (!std::isfinite(value)) fail(file.path(), "tensor " + tensor.name + " holds a number that is not finite");
    copy_bytes(stream, parameters.value({k}).data, values.data(), values.size() * sizeof(float));
    stream.synchronize();
  }
  flow->fix_weights();
  flow->coordinates = read_coordinates(file, flow->dimension());
  Source source = source_of(file, configuration, flow->dimension());
  if (source.dimension() != flow->dimension())
    fail(file.path(), "the source has " + std::to_string(source.dimension()) + " dimensions, the flow " +
                          std::to_string(flow->dimension()));
  return Model{std::move(flow), std::move(source), std::move(configuration)};
}

nlohmann::json model_configuration(const Flow& flow, const Source& source, const Dataset& data, nlohmann::json run) {
  run["version"] = flow.coordinates.identity() ? kVersion : kStandardisedVersion;
  run["source"] = source.name();
  run["dimension"] = flow.dimension();
  run["flow"] = flow.configuration();
  run["sample_shape"] = data.sample_shape();
  return run;
}

void save_model(const std::filesystem::path& path, const Flow& flow, const Source& source, Stream& stream,
                const nlohmann::json& configuration, std::span<const NamedTensor> more) {
  const Parameters& parameters = flow.parameters();
  const std::vector<float> values = download(stream, parameters.values()),
                           averages = download(stream, parameters.averages());
  std::vector<NamedTensor> tensors(more.begin(), more.end());
  append_coordinates(flow.coordinates, tensors);
  for (int k = 0; k < parameters.count(); ++k) {
    for (const auto& [prefix, flat] : {std::pair{"weights/", &values}, std::pair{"ema/", &averages}}) {
      View<float> at = parameters.slice(parameters.values(), {k});
      View<const float> host = at;
      host.data = flat->data() + (at.data - parameters.values().data);
      tensors.push_back(named_tensor(prefix + parameters.name(k), host));
    }
  }
  if (const GaussianParameters* fit = source.parameters()) {
    const std::int64_t d = fit->dimension();
    tensors.push_back(named_tensor("source/mean", View<const float>(fit->mean.data(), {d})));
    tensors.push_back(named_tensor("source/factor", View<const float>(fit->factor.data(), {fit->rank(), d})));
    if (!fit->diagonal.empty())
      tensors.push_back(named_tensor("source/diagonal", View<const float>(fit->diagonal.data(), {d})));
  }
  write_safetensors(path, tensors, {{kKey, json_text(configuration)}});
}

}  // namespace otnfm
