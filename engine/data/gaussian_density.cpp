#include "engine/data/gaussian_density.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <optional>
#include <utility>

#include "engine/core/dense_matrix.h"
#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {

struct GaussianDensity::Shape {
  std::int64_t d = 0;
  std::vector<double> mean;  // empty: the standard normal distribution
  DenseMatrix lower;         // L

  double log_volume() const {
    double sum = 0.5 * static_cast<double>(d) * std::log(2 * std::numbers::pi);
    for (std::int64_t k = 0; k < lower.rows(); ++k) sum += std::log(lower(k, k));
    return sum;
  }

  /// z of every row, a column each.
  DenseMatrix whitened(View<const float> x) const {
    require_matrix("GaussianDensity", "x", x, x.rows(), d);
    if (mean.empty() || x.rows() == 0) return transposed(x);
    DenseMatrix z = transposed_centred(x, mean);
    solve_lower(lower, z);
    return z;
  }
};

bool GaussianDensity::is_gaussian(const Source& source) {
  const Dataset* data = source.data();
  return source.parameters() || (data && data->endless() && !data->kind() && data->standardisation().identity());
}

GaussianDensity::GaussianDensity(const Source& source) : shape_(std::make_unique<Shape>()) {
  shape_->d = source.dimension();
  if (!is_gaussian(source))
    throw InputError(
        fmt::format("the source {} has no density in closed form: gaussian and gaussian-fit have", source.name()));
  const GaussianParameters* fit = source.parameters();
  if (!fit) return;
  const std::int64_t d = shape_->d;
  shape_->mean.assign(fit->mean.begin(), fit->mean.end());
  DenseMatrix covariance(d, d);
  add_gram(transposed({fit->factor.data(), {fit->rank(), d}}), covariance);
  double trace = 0;
  for (std::int64_t k = 0; k < d; ++k) {
    if (!fit->diagonal.empty()) {
      const double own = fit->diagonal[static_cast<std::size_t>(k)];
      covariance(k, k) += own * own;
    }
    trace += covariance(k, k);
  }
  // Below the rounding of a fit in float32 a direction has no spread.
  const double least = 1e-12 * trace / static_cast<double>(d);
  std::optional<DenseMatrix> lower = cholesky(covariance);
  for (std::int64_t k = 0; lower && k < d; ++k)
    if (!((*lower)(k, k) * (*lower)(k, k) > least)) lower.reset();
  if (!lower)
    throw InputError(fmt::format("the source gaussian-fit has no density: its covariance is singular (rank {} of {})",
                                 fit->rank(), d));
  shape_->lower = *std::move(lower);
}

GaussianDensity::~GaussianDensity() = default;
GaussianDensity::GaussianDensity(GaussianDensity&&) noexcept = default;

std::vector<double> GaussianDensity::log_density(View<const float> x) const {
  const DenseMatrix z = shape_->whitened(x);
  const double log_volume = shape_->log_volume();
  std::vector<double> values(static_cast<std::size_t>(x.rows()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    double square = 0;
    for (const double value : z.column(static_cast<std::int64_t>(i))) square += value * value;
    values[i] = -0.5 * square - log_volume;
  }
  return values;
}

GaussianDensity::Whitening GaussianDensity::whitening() const {
  Whitening result{.matrix = {}, .bias = {}, .constant = -shape_->log_volume()};
  if (shape_->mean.empty()) return result;
  const std::int64_t d = shape_->d;
  DenseMatrix inverse(d, d), moved(d, 1);
  for (std::int64_t k = 0; k < d; ++k) {
    inverse(k, k) = 1;
    moved(k, 0) = -shape_->mean[static_cast<std::size_t>(k)];
  }
  solve_lower(shape_->lower, inverse);
  for (std::int64_t i = 0; i < d; ++i)
    for (std::int64_t k = 0; k < d; ++k) result.matrix.push_back(static_cast<float>(inverse(i, k)));
  const DenseMatrix bias = product(inverse, moved);
  result.bias.assign(bias.values().begin(), bias.values().end());
  return result;
}

GaussianDensity::Deviation GaussianDensity::deviation(View<const float> x) const {
  require(x.rows() >= 2, "GaussianDensity::deviation", "at least two rows are needed", describe(x));
  DenseMatrix z = shape_->whitened(x);
  const auto n = static_cast<double>(x.rows()), d = static_cast<double>(shape_->d);
  std::vector<double> mean(static_cast<std::size_t>(shape_->d), 0.0);
  for (std::int64_t i = 0; i < z.columns(); ++i)
    for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += z.column(i)[k] / n;
  for (std::int64_t i = 0; i < z.columns(); ++i)
    for (std::size_t k = 0; k < mean.size(); ++k) z.column(i)[k] -= mean[k];
  DenseMatrix covariance(shape_->d, shape_->d);
  add_gram(z, covariance);
  for (double& value : covariance.values()) value /= n - 1;
  for (std::int64_t k = 0; k < shape_->d; ++k) covariance(k, k) -= 1;
  return {.mean = norm(mean) / std::sqrt(d),
          .expected_mean = std::sqrt(1 / n),
          .covariance = norm(covariance.values()) / std::sqrt(d),
          .expected_covariance = std::sqrt((d + 1) / (n - 1))};
}

}  // namespace otnfm
