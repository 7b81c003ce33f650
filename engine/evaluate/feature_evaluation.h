// What `otnfm eval --features` says: samples, other data and the matched Gaussian, each against the data, in the space
// of a feature network.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/data/dataset.h"
#include "engine/features/feature_network.h"
#include "engine/generate/generator.h"

namespace otnfm {

struct FeatureEvaluationOptions {
  std::int64_t samples = 5000;
  std::uint64_t seed = 0;
};

/// {"n_data", "features", "features_of", "accuracy", "nfe", "collapse_rho", "nearest_train", ..., "samples": S,
/// "floor": F, "gaussian": G}. S, F and G are
/// {"n", "frechet", "kid", "kid_std", "precision", "recall"} against "n_data" rows of the data: of the model's samples;
/// of its test split, or where there is none of other rows (the floor); of draws from the Gaussian of the data's mean
/// and covariance, which is no model at all and beats many. The Frechet distance falls with n, so all have the same n
/// where the data suffice; KID does not. InputError where the data or the model have another dimension than the
/// features.
nlohmann::json evaluate_features(const Generator& generator, const Dataset& data, const LoadedFeatures& features,
                                 const FeatureEvaluationOptions& options);

}  // namespace otnfm
