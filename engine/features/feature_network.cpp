#include "engine/features/feature_network.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/json_text.h"
#include "engine/core/table.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

constexpr const char* kFeaturesKey = "otnfm_features";
constexpr int kHalvings = 2;  // of the image, behind the first convolution

}  // namespace

FeatureNetwork::FeatureNetwork(const Options& options) : options_(options) {
  const auto within = [](const char* what, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (value < least || value > most)
      throw InputError(std::string("features: ") + what + " must be " + std::to_string(least) + " to " +
                       std::to_string(most) + ", not " + std::to_string(value));
  };
  if (options.image.size() != 3) throw InputError("features: they are of images [height, width, channels]");
  for (const std::int64_t size : options.image) within("an image's sizes", size, 1, 1024);
  within("classes", options.classes, 2, 65536);
  within("width", options.width, 8, 512);
  within("features", options.features, 1, 4096);
  std::int64_t height = options.image[0], width = options.image[1], C = options.image[2], out = options.width;
  for (int k = 0; k <= kHalvings; ++k) {
    const std::string name = std::to_string(k);
    convolutions_.emplace_back(parameters_, "convolution." + name, C, out, 3);
    norms_.emplace_back(parameters_, "norm." + name, out);
    C = out, out *= 2;
    if (k > 0) height = (height + 1) / 2, width = (width + 1) / 2;
  }
  to_features_ = std::make_unique<Linear>(parameters_, "features", height * width * C, options.features);
  to_logits_ = std::make_unique<Linear>(parameters_, "logits", options.features, options.classes);
}

Tensor FeatureNetwork::features(Tape& tape, Tensor x) const {
  const Scope s = scope(tape);
  const std::int64_t B = x.rows();
  Tensor h = tape.reshape(x, {B, options_.image[0], options_.image[1], options_.image[2]});
  for (std::size_t k = 0; k < convolutions_.size(); ++k) {
    h = k == 0 ? convolutions_[k](s, h) : convolutions_[k].halve(s, h);
    h = norms_[k](s, h, Activation::silu);
  }
  return (*to_features_)(s, tape.reshape(h, {B, h.size() / std::max<std::int64_t>(B, 1)}), Activation::silu);
}

Tensor FeatureNetwork::logits(Tape& tape, Tensor features) const {
  return (*to_logits_)(scope(tape), features);
}

void save_features(const std::filesystem::path& path, const FeatureNetwork& network, const FeatureOrigin& origin) {
  const FeatureNetwork::Options& options = network.options();
  const nlohmann::json about = {
      {"version", 1},           {"kind", "classifier"},         {"image", options.image}, {"classes", options.classes},
      {"width", options.width}, {"features", options.features}, {"data", origin.data},    {"seed", origin.seed},
      {"steps", origin.steps},  {"accuracy", origin.accuracy}};
  const Parameters& parameters = network.parameters();
  const View<float> averages = parameters.averages();
  std::vector<float> host(static_cast<std::size_t>(averages.size()));
  Stream stream(parameters.device());
  copy_bytes(stream, host.data(), averages.data, host.size() * sizeof(float));
  stream.synchronize();
  std::vector<NamedTensor> tensors;
  for (int k = 0; k < parameters.count(); ++k) {
    View<const float> at = parameters.slice(averages, {k});
    at.data = host.data() + (at.data - averages.data);
    tensors.push_back(named_tensor(parameters.name(k), at));
  }
  write_safetensors(path, tensors, {{kFeaturesKey, json_text(about)}});
}

LoadedFeatures load_features(const std::filesystem::path& path) {
  const SafetensorsFile file = SafetensorsFile::load(path);
  const auto fail = [&](const std::string& what) -> void { throw InputError(file.path() + ": " + what); };
  const auto found = file.metadata().find(kFeaturesKey);
  if (found == file.metadata().end())
    fail(std::string("is no network of features: its metadata has no \"") + kFeaturesKey + "\"");
  const nlohmann::json about = parse_json(found->second);
  if (!about.is_object()) fail(std::string("the metadata's \"") + kFeaturesKey + "\" is not a JSON object");
  const auto integer = [&](const char* key) -> std::int64_t {
    if (!about.contains(key) || !about[key].is_number_integer() || about[key] < 0 || about[key] > (1 << 30))
      fail(std::string("the metadata's \"") + key + "\" is missing or out of range");
    return about[key].get<std::int64_t>();
  };
  if (integer("version") != 1) fail("is of version " + json_text(about["version"]) + ", this program reads version 1");
  if (!about.contains("kind") || about["kind"] != "classifier") fail("the metadata's \"kind\" is no \"classifier\"");
  if (!about.contains("image") || !about["image"].is_array() || about["image"].size() != 3)
    fail("the metadata's \"image\" is not [height, width, channels]");
  FeatureNetwork::Options options;
  options.classes = integer("classes"), options.width = integer("width"), options.features = integer("features");
  for (const nlohmann::json& size : about["image"]) {
    if (!size.is_number_integer() || size < 1 || size > 1024) fail("the metadata's \"image\" is out of range");
    options.image.push_back(size.get<std::int64_t>());
  }
  LoadedFeatures loaded;
  loaded.network = std::make_unique<FeatureNetwork>(options);
  Parameters& parameters = loaded.network->parameters();
  for (int k = 0; k < parameters.count(); ++k) {
    const NamedTensor& tensor = file.tensor(parameters.name(k));
    if (tensor.dtype != DType::float32 || tensor.shape != parameters.shape(k))
      fail("tensor " + tensor.name + " has another type or shape than the metadata say");
  }
  parameters.allocate(Device::cpu, 0, /*training=*/false);
  for (int k = 0; k < parameters.count(); ++k) {
    const NamedTensor& tensor = file.tensor(parameters.name(k));
    const std::vector<float> values = file.values<float>(tensor.name, tensor.shape);
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      fail("tensor " + tensor.name + " holds a number that is not finite");
    std::ranges::copy(values, parameters.value({k}).data);
  }
  const auto text = about.find("data");
  loaded.origin.data = text != about.end() && text->is_string() ? text->get<std::string>() : "?";
  loaded.origin.seed = static_cast<std::uint64_t>(about.contains("seed") ? integer("seed") : 0);
  loaded.origin.steps = about.contains("steps") ? integer("steps") : 0;
  if (about.contains("accuracy") && about["accuracy"].is_number()) loaded.origin.accuracy = about["accuracy"];
  return loaded;
}

FeatureExtractor::FeatureExtractor(const FeatureNetwork& network)
    : network_(network),
      stream_(Device::cpu),
      batch_(static_cast<std::size_t>(kRows * network.dimension())),
      tape_(Device::cpu, {.training = false}) {
  features_ = network.features(tape_, tape_.external(View<float>(batch_.data(), {kRows, network.dimension()})));
  tape_.keep(features_);
  tape_.plan();
}

std::vector<float> FeatureExtractor::operator()(View<const float> rows) {
  const std::int64_t n = rows.rows(), d = network_.dimension(), width = network_.feature_count();
  if (rows.columns() != d)
    throw InputError("the features are of images of " + std::to_string(d) + " numbers, not of " +
                     std::to_string(rows.columns()));
  std::vector<float> result(static_cast<std::size_t>(n * width));
  for (std::int64_t first = 0; first < n; first += kRows) {
    const std::int64_t count = std::min(kRows, n - first);
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t j = 0; j < d; ++j) {
        const float pixel = std::round((rows.row(first + i)[j] + 1.0f) * 127.5f);
        batch_[static_cast<std::size_t>(i * d + j)] = std::clamp(pixel, 0.0f, 255.0f) / 127.5f - 1.0f;
      }
    tape_.run(stream_);
    const View<float> made = tape_.view(features_);
    std::copy(made.data, made.data + count * width, result.data() + first * width);
  }
  return result;
}

std::vector<std::int64_t> classify(const FeatureNetwork& network, View<const float> rows) {
  FeatureExtractor extract(network);
  std::vector<float> features = extract(rows);
  Tape tape(Device::cpu, {.training = false});
  const Tensor logits =
      network.logits(tape, tape.external(View<float>(features.data(), {rows.rows(), network.feature_count()})));
  tape.keep(logits);
  tape.plan();
  Stream stream(Device::cpu);
  tape.run(stream);
  const View<float> made = tape.view(logits);
  std::vector<std::int64_t> classes;
  for (std::int64_t i = 0; i < made.rows(); ++i)
    classes.push_back(std::max_element(made.row(i), made.row(i) + made.columns()) - made.row(i));
  return classes;
}

}  // namespace otnfm
