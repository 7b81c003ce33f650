// Features of images for the metrics that compare distributions: the last hidden layer of a small convolutional
// classifier, trained by `otnfm features` on the data's own labels. Figures in such features are comparable with each
// other for one file alone; the file says its data, seed and accuracy.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/parameters.h"
#include "engine/io/safetensors.h"
#include "layers/convolution.h"
#include "layers/linear.h"

namespace otnfm {

class FeatureNetwork {
 public:
  struct Options {
    Shape image;  ///< [height, width, channels]
    std::int64_t classes = 10;
    std::int64_t width = 32;  ///< channels of the first convolution; twice and four times as many follow
    std::int64_t features = 64;
  };

  /// InputError where a size is out of range.
  explicit FeatureNetwork(const Options& options);

  const Options& options() const { return options_; }
  std::int64_t dimension() const { return size_of(options_.image); }
  std::int64_t feature_count() const { return options_.features; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

  /// x [B, d] in [-1, 1] -> [B, features]
  Tensor features(Tape& tape, Tensor x) const;
  /// features [B, features] -> [B, classes]
  Tensor logits(Tape& tape, Tensor features) const;

 private:
  Scope scope(Tape& tape) const { return {.tape = tape, .parameters = parameters_}; }

  Options options_;
  Parameters parameters_;
  std::vector<Convolution> convolutions_;
  std::vector<GroupNormalisation> norms_;
  std::unique_ptr<Linear> to_features_, to_logits_;
};

/// What a file says of its network.
struct FeatureOrigin {
  std::string data;  ///< spec of the data set that it was trained on
  std::uint64_t seed = 0;
  std::int64_t steps = 0;
  double accuracy = 0;  ///< of the classes of the data's test split
};

/// The averaged weights, with metadata "otnfm_features".
void save_features(const std::filesystem::path& path, const FeatureNetwork& network, const FeatureOrigin& origin);

struct LoadedFeatures {
  std::unique_ptr<FeatureNetwork> network;
  FeatureOrigin origin;
};

/// Onto the CPU. InputError that names the path and what is wrong.
LoadedFeatures load_features(const std::filesystem::path& path);

/// Features of many images, some at a time.
class FeatureExtractor {
 public:
  explicit FeatureExtractor(const FeatureNetwork& network);

  /// rows [n, d] of images in [-1, 1] -> [n, features], row-major. The rows become what an image file holds: cut to the
  /// range and rounded to 256 steps. A row's features do not depend on the others. InputError for another d.
  std::vector<float> operator()(View<const float> rows);

 private:
  static constexpr std::int64_t kRows = 64;

  const FeatureNetwork& network_;
  Stream stream_;
  std::vector<float> batch_;
  Tape tape_;
  Tensor features_;
};

/// Logits of the rows' classes, highest first: the class of each. [n, d] -> [n]
std::vector<std::int64_t> classify(const FeatureNetwork& network, View<const float> rows);

}  // namespace otnfm
