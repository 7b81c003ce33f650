#include "layers/unet.h"

#include <algorithm>

namespace otnfm {

ResidualBlock::ResidualBlock(Parameters& parameters, const std::string& name, std::int64_t in, std::int64_t out,
                             std::int64_t embedding)
    : out_(out),
      first_norm_(parameters, name + ".norm1", in),
      first_(parameters, name + ".conv1", in, out, 3),
      film_(parameters, name + ".film", embedding, 2 * out),
      second_norm_(parameters, name + ".norm2", out),
      second_(parameters, name + ".conv2", out, out, 3, /*zero=*/true) {
  if (in != out) skip_.emplace(parameters, name + ".skip", in, out, 1);
}

Tensor ResidualBlock::operator()(const Scope& s, Tensor x, Tensor embedding, const Dropout& dropout) const {
  Tensor h = first_(s, first_norm_(s, x, Activation::silu));
  h = second_norm_(s, h, Activation::silu, film_(s, embedding));
  if (dropout.rate > 0 && s.tape.learns()) h = otnfm::dropout(s.tape, h, dropout.key, dropout.rate);
  return second_(s, h, skip_ ? (*skip_)(s, x) : x);
}

AttentionBlock::AttentionBlock(Parameters& parameters, const std::string& name, std::int64_t channels,
                               std::int64_t heads)
    : heads_(heads),
      norm_(parameters, name + ".norm", channels),
      to_qkv_(parameters, name + ".qkv", channels, 3 * channels, 1),
      project_(parameters, name + ".project", channels, channels, 1, /*zero=*/true) {
  if (channels % heads != 0)
    throw InputError("flow unet: " + std::to_string(heads) + " heads do not divide " + std::to_string(channels) +
                     " channels");
}

Tensor AttentionBlock::operator()(const Scope& s, Tensor x) const {
  const std::int64_t B = x.size(0), N = x.size(1) * x.size(2), C = x.size(3);
  const Tensor qkv = to_qkv_(s, norm_(s, x, Activation::identity));
  const Tensor y = attention(s.tape, s.tape.reshape(qkv, {B, N, 3 * C}), heads_);
  return project_(s, s.tape.reshape(y, x.shape()), x);
}

UNet::UNet(Parameters& parameters, const std::string& name, const Options& options) : options_(options) {
  const auto levels = static_cast<std::int64_t>(options.multipliers.size());
  const std::int64_t p = options.patch, halvings = std::int64_t{1} << (levels - 1);
  const std::string image = std::to_string(options.height) + "x" + std::to_string(options.width);
  if (options.height % p != 0 || options.width % p != 0)
    throw InputError("flow unet: patch " + std::to_string(p) + " does not divide the image, " + image);
  std::int64_t height = options.height / p;
  if (height % halvings != 0 || options.width / p % halvings != 0)
    throw InputError("flow unet: " + std::to_string(levels) + " levels halve the image, " + image + " in patches of " +
                     std::to_string(p) + ", more often than it can be");
  for (const std::int64_t at : options.attention) {
    bool found = false;
    for (std::int64_t level = 0; level < levels; ++level) found = found || height >> level == at;
    if (!found)
      throw InputError("flow unet: attention at height " + std::to_string(at) + ", which no level has: they are " +
                       std::to_string(height) + " high, and half of it from level to level");
  }
  const std::int64_t embedding = 4 * options.features, channels = options.channels * p * p;
  first_time_.emplace(parameters, name + ".time1", options.features, embedding);
  second_time_.emplace(parameters, name + ".time2", embedding, embedding);
  stem_.emplace(parameters, name + ".stem", channels, options.features, 3);
  const auto step = [&](const std::string& at, std::int64_t in, std::int64_t out, bool attends) {
    Step made{ResidualBlock(parameters, at, in, out, embedding), {}};
    if (attends) made.attention.emplace(parameters, at + ".attention", out, options.heads);
    return made;
  };
  const auto attends_at = [&](std::int64_t h) { return std::ranges::count(options.attention, h) != 0; };
  std::int64_t C = options.features;
  std::vector<std::int64_t> skips = {C};
  for (std::int64_t level = 0; level < levels; ++level) {
    const std::string at = name + ".down" + std::to_string(level);
    const std::int64_t out = options.features * options.multipliers[static_cast<std::size_t>(level)];
    Level& made = down_.emplace_back();
    for (std::int64_t k = 0; k < options.blocks; ++k) {
      made.steps.push_back(step(at + "." + std::to_string(k), C, out, attends_at(height)));
      skips.push_back(C = out);
    }
    if (level + 1 == levels) continue;
    made.resize.emplace(parameters, at + ".halve", C, C, 3);
    skips.push_back(C);
    height /= 2;
  }
  middle_.push_back(step(name + ".middle.0", C, C, !options.attention.empty()));
  middle_.push_back(step(name + ".middle.1", C, C, false));
  for (std::int64_t level = levels; level-- > 0;) {
    const std::string at = name + ".up" + std::to_string(level);
    const std::int64_t out = options.features * options.multipliers[static_cast<std::size_t>(level)];
    Level& made = up_.emplace_back();
    for (std::int64_t k = 0; k <= options.blocks; ++k) {
      made.steps.push_back(step(at + "." + std::to_string(k), C + skips.back(), out, attends_at(height)));
      skips.pop_back();
      C = out;
    }
    if (level == 0) continue;
    made.resize.emplace(parameters, at + ".double", C, C, 3);
    height *= 2;
  }
  last_norm_.emplace(parameters, name + ".norm", C);
  head_.emplace(parameters, name + ".head", C, channels, 3, /*zero=*/true);
}

std::int64_t UNet::block_count() const {
  std::int64_t count = static_cast<std::int64_t>(middle_.size());
  for (const std::vector<Level>* levels : {&down_, &up_})
    for (const Level& level : *levels) count += static_cast<std::int64_t>(level.steps.size());
  return count;
}

Tensor UNet::operator()(const Scope& s, Tensor t, Tensor x, const ResidualBlock::Dropout& dropout) const {
  Tape& tape = s.tape;
  // Of the embedding there is one row an image: it stays float32.
  const Tensor waves = time_embedding(tape, t, options_.features);
  const Tensor embedding = (*second_time_)(s, (*first_time_)(s, waves, Activation::silu), Activation::silu);
  ResidualBlock::Dropout dropout_of_block = dropout;
  const auto run = [&](const Step& step, Tensor in) {
    const Tensor out = step.block(s, in, embedding, dropout_of_block);
    ++dropout_of_block.key.stream;
    return step.attention ? (*step.attention)(s, out) : out;
  };
  if (options_.patch > 1) x = space_to_depth(tape, x, options_.patch);
  Tensor h = (*stem_)(s, x);
  std::vector<Tensor> skips = {h};
  for (const Level& level : down_) {
    for (const Step& step : level.steps) skips.push_back(h = run(step, h));
    if (level.resize) skips.push_back(h = level.resize->halve(s, h));
  }
  for (const Step& step : middle_) h = run(step, h);
  for (const Level& level : up_) {
    for (const Step& step : level.steps) {
      h = run(step, concat(tape, h, skips.back()));
      skips.pop_back();
    }
    if (level.resize) h = (*level.resize)(s, upsample(tape, h));
  }
  h = head_->as_float32(s, (*last_norm_)(s, h, Activation::silu));
  return options_.patch > 1 ? depth_to_space(tape, h, options_.patch) : h;
}

}  // namespace otnfm
