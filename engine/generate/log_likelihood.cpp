#include "engine/generate/log_likelihood.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/generate/sampler.h"
#include "kernels/elementwise.h"
#include "kernels/random.h"

namespace otnfm {
namespace {

constexpr std::uint32_t kDequantiseStream = 0xd6;
constexpr double kHalfRange = 127.5;  // engine/data/dataset.h: value = pixel / 127.5 - 1

}  // namespace

GaussianDensity noise_density(const Model& model) {
  return GaussianDensity(model.source.standardised(model.flow->coordinates.source));
}

GaussianDensity data_density(const Model& model) {
  if (const std::optional<std::int64_t> column = model.flow->coordinates.target.constant_column())
    throw InputError("the data have no density: column " + std::to_string(*column) + " (counted from 0) is constant");
  return noise_density(model);
}

LogLikelihood::LogLikelihood(const Model& model, Device device, std::int64_t batch,
                             const LogDeterminantOptions& options)
    : coordinates_(model.flow->coordinates),
      density_(data_density(model)),
      inverse_(*model.flow, device, batch),
      log_determinant_(*model.flow, device, batch, options) {
  require_map(model.configuration, "a likelihood");
}

LogLikelihoods LogLikelihood::operator()(View<const float> y) {
  const std::int64_t n = y.rows();
  std::vector<float> noise(static_cast<std::size_t>(y.size())), ones(static_cast<std::size_t>(n), 1.0f);
  const View<float> x0(noise.data(), {n, y.columns()});
  const View<const float> t(ones.data(), {n, 1});
  coordinates_.target.apply(y, x0);
  inverse_.standardised(t, View<const float>(x0), x0);
  const LogDeterminants determinants = log_determinant_.standardised(t, x0);
  const double log_volume = coordinates_.target.log_volume();
  LogLikelihoods result{.values = density_.log_density(x0), .estimator_error = determinants.mean_standard_error};
  const double rows = static_cast<double>(std::max<std::int64_t>(n, 1));
  for (std::size_t i = 0; i < result.values.size(); ++i) {
    result.values[i] -= determinants.values[i] + log_volume;
    result.mean += result.values[i] / rows;
  }
  double squares = 0;
  for (const double value : result.values) squares += (value - result.mean) * (value - result.mean);
  result.standard_error = n > 1 ? std::sqrt(squares / (rows * (rows - 1))) : 0;
  return result;
}

double bits_per_dimension(double mean_log_likelihood, std::int64_t dimension) {
  // A number's density in units of one pixel value is that in units of y over 127.5.
  return -mean_log_likelihood / (static_cast<double>(dimension) * std::numbers::ln2) + std::log2(kHalfRange);
}

void dequantise(View<float> y, std::uint64_t seed) {
  std::vector<float> noise(static_cast<std::size_t>(y.size()));
  const View<float> u(noise.data(), {y.rows(), y.columns()});
  const auto half = static_cast<float>(0.5 / kHalfRange);
  uniform(host_stream(), {.y = u, .key = {.seed = seed, .stream = kDequantiseStream}, .low = -half, .high = half});
  add(host_stream(), {.a = y, .b = u, .y = y});
}

}  // namespace otnfm
