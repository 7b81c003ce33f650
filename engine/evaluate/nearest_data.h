// Whether samples are pictures of the data or copies of them: distances to the nearest row.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/data/dataset.h"

namespace otnfm {

/// Adds "nearest_train", "nearest_train_test" and their ratio: the mean distance of samples [n, d], and of data that
/// stand beside them, to their nearest row of the rest of the data. The data beside them are the test split, or where
/// there is none some of the rows themselves. Distances are told times `unit`.
void add_nearest(nlohmann::json& result, View<const float> samples, const Dataset& data, std::uint64_t seed,
                 double unit);

}  // namespace otnfm
