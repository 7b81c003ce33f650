// `otnfm features`: a classifier on a data set's labels, whose last hidden layer is a feature space for eval.
#pragma once

#include <functional>

#include "engine/data/dataset.h"
#include "engine/features/feature_network.h"

namespace otnfm {

struct FeatureTrainingOptions {
  std::int64_t steps = 2000;
  std::int64_t batch = 128;
  double learning_rate = 2e-3;
  std::uint64_t seed = 0;
};

/// After every tenth of the steps: those done, and the loss of the last.
using FeatureTrainingListener = std::function<void(std::int64_t step, double loss)>;

struct TrainedFeatures {
  std::unique_ptr<FeatureNetwork> network;
  FeatureOrigin origin;
};

/// By AdamW with a cosine schedule and the moving average of the weights, on the CPU; the same bits for a seed.
/// InputError where the data are no images with labels or have no test split; RunError where the loss is not finite any
/// more.
TrainedFeatures train_features(const Dataset& data, const FeatureTrainingOptions& options,
                               const FeatureTrainingListener& listener);

}  // namespace otnfm
