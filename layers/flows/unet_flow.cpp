#include "layers/flows/unet_flow.h"

#include <algorithm>
#include <charconv>

#include "layers/flows/shared_keys.h"

namespace otnfm {
namespace {

constexpr const char *kImageKey = "image", *kLowest = "lowest", *kNone = "none";

constexpr OptionField<UNetFlow::Options> kUNetOptions[] = {
    {.key = kDimensionKey, .member = &UNetFlow::Options::dimension, .help = "of the data", .range = {0, 1 << 20}},
    {.key = kImageKey, .member = &UNetFlow::Options::image, .help = "the data's height x width x channels"},
    {.key = "width",
     .member = &UNetFlow::Options::width,
     .help = "channels of the first level, a multiple of 8",
     .range = {8, 1024}},
    {.key = "multipliers",
     .member = &UNetFlow::Options::multipliers,
     .help = "of the width, level by level: 1:2:2; a level halves the image"},
    {.key = "blocks", .member = &UNetFlow::Options::blocks, .help = "residual blocks a level", .range = {1, 16}},
    {.key = "attention",
     .member = &UNetFlow::Options::attention,
     .help = "heights that have self-attention, 16:8; the lowest level, or none"},
    {.key = "heads", .member = &UNetFlow::Options::heads, .help = "of an attention", .range = {1, 64}},
    {.key = "dropout",
     .member = &UNetFlow::Options::dropout,
     .help = "share of a block's numbers that a training step leaves out",
     .range = {0, 0.9}},
    {.key = "patch",
     .member = &UNetFlow::Options::patch,
     .help = "pixels by pixels that the network takes as one",
     .range = {1, 16}},
};

/// "16:8" as numbers, between 1 and `most`.
std::vector<std::int64_t> numbers_of(const std::string& text, char separator, const char* key, std::int64_t most) {
  std::vector<std::int64_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    std::int64_t number = 0;
    const auto [behind, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 1 || number > most || (behind != end && *behind != separator))
      throw InputError(std::string("flow unet: ") + key + " must be numbers from 1 to " + std::to_string(most) +
                       " with '" + separator + "' between them, not '" + text + "'");
    numbers.push_back(number);
    if (behind == end) return numbers;
    at = behind + 1;
  }
}

}  // namespace

UNetFlow::UNetFlow(const Options& options) : options_(options) {
  shape_ = numbers_of(options.image, 'x', kImageKey, 4096);
  if (shape_.size() != 3)
    throw InputError("flow unet: image must be height x width x channels, as 28x28x1, not '" + options.image + "'");
  if (options_.dimension == 0) options_.dimension = size_of(shape_);
  if (options_.dimension != size_of(shape_))
    throw InputError("flow unet: an image of " + options.image + " has " + std::to_string(size_of(shape_)) +
                     " numbers, the dimension is " + std::to_string(options_.dimension));
  if (options.width % 8 != 0)
    throw InputError("flow unet: width must be a multiple of 8, not " + std::to_string(options.width));
  UNet::Options network{.height = shape_[0],
                        .width = shape_[1],
                        .channels = shape_[2],
                        .features = options.width,
                        .multipliers = numbers_of(options.multipliers, ':', "multipliers", 64),
                        .blocks = options.blocks,
                        .heads = options.heads,
                        .patch = options.patch};
  if (network.multipliers.size() > 8)
    throw InputError("flow unet: at most 8 multipliers, not '" + options.multipliers + "'");
  if (options.attention == kLowest)
    network.attention = {shape_[0] / options.patch >> (network.multipliers.size() - 1)};
  else if (options.attention != kNone)
    network.attention = numbers_of(options.attention, ':', "attention", 4096);
  g_.emplace(parameters_, "g", network);
}

Tensor UNetFlow::velocity(Tape& tape, Tensor t, Tensor x) {
  const std::int64_t B = x.rows();
  const Tensor images = tape.reshape(x, {B, shape_[0], shape_[1], shape_[2]});
  const Tensor g = (*g_)(scope(tape), t, images, {.rate = static_cast<float>(options_.dropout), .key = dropout_key});
  return tape.reshape(g, {B, options_.dimension});
}

Tensor UNetFlow::forward_block(Tape& tape, std::int64_t, Tensor t, Tensor x) {
  return residual(tape, x, TimeFunctionKind::identity, t, {}, velocity(tape, t, x));
}

// Some 30 activations of an image are alive at once; beyond the caches more images at a time win nothing.
std::int64_t UNetFlow::most_rows() const {
  const std::int64_t activation = size_of(shape_) / shape_[2] / (options_.patch * options_.patch) * options_.width;
  constexpr std::int64_t kNumbers = std::int64_t{1} << 23;
  std::int64_t rows = 1;
  while (rows < 256 && 2 * rows * activation <= kNumbers) rows *= 2;
  return rows;
}

nlohmann::json UNetFlow::configuration() const {
  return flow_configuration("unet", kUNetOptions, options_);
}

std::unique_ptr<Flow> make_unet_flow(const nlohmann::json& configuration) {
  nlohmann::json keys = configuration;
  if (keys.is_object()) keys.erase(kFamilyKey);
  const std::string what = "flow unet";
  return std::make_unique<UNetFlow>(
      options_from(kUNetOptions, read_options(unet_flow_options(), keys, what, OptionNames::keys), what));
}

std::vector<OptionEntry> unet_flow_options() {
  return entries_of(kUNetOptions);
}

nlohmann::json unet_preset(const Shape& image, Device device, const nlohmann::json& given) {
  nlohmann::json preset = {{kImageKey, image_text(image)}};
  // As often as the image can be halved, down to 4 pixels; on a processor behind patches of 2x2, which are a quarter of
  // the work.
  const bool on_cuda = device == Device::cuda;
  const std::int64_t side = std::min(image[0], image[1]);
  const auto divides = [&](std::int64_t n) { return image[0] % n == 0 && image[1] % n == 0; };
  std::int64_t patch = divides(2) && (!on_cuda || side >= 128) ? 2 : 1;
  if (given.contains("patch") && given["patch"].is_number_integer() && given["patch"] >= 1 && given["patch"] <= side)
    patch = given["patch"].get<std::int64_t>();
  std::int64_t levels = 1;
  const std::int64_t most_levels = on_cuda ? 4 : 2;
  while (levels < most_levels && divides(patch << levels) && side / (patch << levels) >= 4) ++levels;
  std::string multipliers = "1";
  for (std::int64_t level = 1; level < levels; ++level) multipliers += ":2";
  preset["patch"] = patch;
  preset["multipliers"] = multipliers;
  if (on_cuda) {
    preset["width"] = side >= 32 ? 128 : 64;
    preset["blocks"] = 2;
    if (image[2] == 3) preset["dropout"] = 0.1;
  } else if (image[2] == 3) {
    preset["width"] = 64;
  }
  preset.update(given);
  return preset;
}

std::string image_text(const Shape& image) {
  std::string text;
  for (const std::int64_t size : image) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

}  // namespace otnfm
