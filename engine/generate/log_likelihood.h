// The likelihood of data under a model with a Gaussian source, by the change of variables: x0 = F(1, .)^-1(y),
//     log p(y) = log p0(x0) - log|det dF(1, x0)/dx|,
// in standardised coordinates, and of raw data less sum_j log scale_j.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/data/gaussian_density.h"
#include "engine/generate/model.h"
#include "layers/maps/inverse.h"
#include "layers/maps/log_determinant.h"

namespace otnfm {

struct LogLikelihoods {
  std::vector<double> values;  ///< nats, of each row
  double mean = 0;
  double standard_error = 0;  ///< of the mean, from the spread over rows
  /// Of the mean, from the log-determinant's estimator; 0 where that is exact.
  double estimator_error = 0;
};

/// The density of the model's source in the coordinates of its flow (Flow::coordinates). InputError where it has none.
GaussianDensity noise_density(const Model& model);

/// The same, where the data have one too. InputError also where a column of the data is constant.
GaussianDensity data_density(const Model& model);

class LogLikelihood {
 public:
  /// The model's parameters lie on `device`; it outlives this. InputError where its family has no inverse, its source
  /// no density, a column of the data is constant, or the log-determinant cannot be had.
  LogLikelihood(const Model& model, Device device, std::int64_t batch = 4096,
                const LogDeterminantOptions& options = {});

  /// y [n, d], in host memory. RunError where a block's inverse does not converge.
  LogLikelihoods operator()(View<const float> y);

 private:
  FlowCoordinates coordinates_;
  GaussianDensity density_;
  FlowInverse inverse_;
  LogDeterminant log_determinant_;
};

/// Of data whose numbers stand for 0 .. 255 by value / 127.5 - 1, from the mean log-likelihood of dequantised rows in
/// nats: a bound from above on the bits that a lossless code needs for a number.
double bits_per_dimension(double mean_log_likelihood, std::int64_t dimension);

/// Adds uniform noise of one step of the 256 values, centred: without it a density could grow without bound at the
/// values themselves. y [n, d], in place.
void dequantise(View<float> y, std::uint64_t seed);

}  // namespace otnfm
