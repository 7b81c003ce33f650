// The density of a Gaussian source, N(0, I) or the fit N(mean, C): log p(x) = -1/2 ||z||^2 - sum_i log L_ii - d/2 log 2
// pi with C = L L^T and z = L^-1 (x - mean), in double. z is standard normal where x is the source's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/data/source.h"
#include "kernels/view.h"

namespace otnfm {

class GaussianDensity {
 public:
  /// InputError where the source is no Gaussian, or where its covariance is singular: then it has no density.
  explicit GaussianDensity(const Source& source);
  ~GaussianDensity();
  GaussianDensity(GaussianDensity&&) noexcept;

  /// In nats, of each row of x [n, d].
  std::vector<double> log_density(View<const float> x) const;

  /// The same as one product: log p(x) = constant - 1/2 ||matrix x + bias||^2. matrix [d, d], bias [d]; both empty for
  /// N(0, I).
  struct Whitening {
    std::vector<float> matrix, bias;
    double constant = 0;
  };
  Whitening whitening() const;

  /// How far rows x [n, d] are from being draws of it: of z, the root mean square of the mean's entries, and the
  /// Frobenius norm of covariance - I over sqrt(d); beside what n independent draws would show on average. n >= 2.
  struct Deviation {
    double mean = 0, expected_mean = 0;
    double covariance = 0, expected_covariance = 0;
  };
  Deviation deviation(View<const float> x) const;

  /// Whether the source has a density that this class knows.
  static bool is_gaussian(const Source& source);

 private:
  struct Shape;
  std::unique_ptr<Shape> shape_;
};

}  // namespace otnfm
