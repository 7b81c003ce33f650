// The collapse meter: rho = tr Cov(generated) / tr Cov(data), 0 where every output is the mean, 1 where the spread is
// the data's. Blind to everything else: an untrained map from `gaussian-fit` has 1.
#pragma once

#include <cstdint>

#include "engine/data/dataset.h"
#include "kernels/view.h"

namespace otnfm {

/// tr Cov(x) = mean_i |x_i - mean|^2 of x [n, d], in double, divided by n. InputError for no rows.
double covariance_trace(View<const float> x);

/// tr Cov(x1) of a data set: of all rows, or of 16384 draws of an endless one.
double total_variance(const Dataset& dataset, std::uint64_t seed);

}  // namespace otnfm
