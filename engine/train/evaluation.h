// What `otnfm eval` says of a model: how far its samples are from the data, beside how far the data are from
// themselves.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/data/dataset.h"
#include "engine/generate/generator.h"

namespace otnfm {

struct EvaluationOptions {
  std::int64_t samples = 4096;
  std::int64_t repeats = 4;
  std::uint64_t seed = 0;
};

/// {"w2", "w2_std", "w2_floor", "w2_floor_std", "w2_ratio", "collapse_rho", "sliced_w2", "mmd", "nfe": 1,
/// "samples_per_second", ...}; for data with a test set also "nearest_train" and "nearest_train_test". w2 is the root
/// of the exact mean squared-Euclidean assignment cost between fresh samples and fresh data, w2_floor the same between
/// two fresh draws of the data; both are means over the repeats, w2_ratio is the ratio of the means. All of it in the
/// data's own coordinates; of a model whose columns were standardised each by itself, "w2_standardised", "..._floor"
/// and
/// "..._ratio" are the same in its coordinates, as collapse_rho always is. Throws InputError
/// where the data do not have the model's dimension.
nlohmann::json evaluate(const Generator& generator, const Dataset& data, const EvaluationOptions& options);

}  // namespace otnfm
