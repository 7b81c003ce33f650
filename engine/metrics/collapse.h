// The collapse meter: rho = tr Cov(generated) / tr Cov(data), 0 where every output is the mean, 1 where the spread is
// the data's. Blind to everything else: an untrained map from `gaussian-fit` has 1.
#pragma once

#include "kernels/view.h"

namespace otnfm {

/// tr Cov(x) = mean_i |x_i - mean|^2 of x [n, d], in double, divided by n. InputError for no rows.
double covariance_trace(View<const float> x);

}  // namespace otnfm
