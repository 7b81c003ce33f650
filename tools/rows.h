// Rows of data for the commands that look at each of them.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/data/dataset.h"

namespace otnfm {

/// InputError where the data have another dimension than the model.
void require_dimension(const Dataset& data, std::int64_t model_dimension);

/// The first `most` rows of the test set, where there is one, else of the data, or all of them where they are fewer;
/// `most` draws of an endless set. [n, d]. InputError where that is more than memory can hold.
std::vector<float> rows_in_order(const Dataset& data, std::int64_t most, std::uint64_t seed);

}  // namespace otnfm
