// g++ 12 takes the deliberately undefined operands of its own AVX-512 intrinsics for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"

#include "engine/data/gaussian_density.h"

#include <fmt/format.h>

#include <Eigen/Dense>
#include <cmath>
#include <numbers>

#include "kernels/check.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

struct GaussianDensity::Shape {
  std::int64_t d = 0;
  Eigen::VectorXd mean;   // empty: the standard normal distribution
  Eigen::MatrixXd lower;  // L

  double log_volume() const {
    double sum = 0.5 * static_cast<double>(d) * std::log(2 * std::numbers::pi);
    for (Eigen::Index k = 0; k < lower.rows(); ++k) sum += std::log(lower(k, k));
    return sum;
  }

  /// z of every row, a column each.
  Eigen::MatrixXd whitened(View<const float> x) const {
    require_matrix("GaussianDensity", "x", x, x.rows(), d);
    Eigen::MatrixXd z(d, x.rows());
    for (std::int64_t i = 0; i < x.rows(); ++i)
      z.col(i) = Eigen::Map<const Eigen::VectorXf>(x.row(i), d).cast<double>();
    if (mean.size() == 0 || x.rows() == 0) return z;
    z.colwise() -= mean;
    lower.triangularView<Eigen::Lower>().solveInPlace(z);
    return z;
  }
};

bool GaussianDensity::is_gaussian(const Source& source) {
  const Dataset* data = source.data();
  return source.parameters() || (data && data->endless() && !data->kind());
}

GaussianDensity::GaussianDensity(const Source& source) : shape_(std::make_unique<Shape>()) {
  shape_->d = source.dimension();
  if (!is_gaussian(source))
    throw InputError(
        fmt::format("the source {} has no density in closed form: gaussian and gaussian-fit have", source.name()));
  const GaussianParameters* fit = source.parameters();
  if (!fit) return;
  const std::int64_t d = shape_->d;
  shape_->mean = Eigen::Map<const Eigen::VectorXf>(fit->mean.data(), d).cast<double>();
  const Eigen::MatrixXd factor = Eigen::Map<const RowMatrix>(fit->factor.data(), fit->rank(), d).cast<double>();
  Eigen::MatrixXd covariance = factor.transpose() * factor;
  if (!fit->diagonal.empty())
    covariance.diagonal() += Eigen::Map<const Eigen::VectorXf>(fit->diagonal.data(), d).cast<double>().cwiseAbs2();
  const Eigen::LLT<Eigen::MatrixXd> cholesky(covariance);
  // Below the rounding of a fit in float32 a direction has no spread.
  const double least = 1e-12 * covariance.trace() / static_cast<double>(d);
  shape_->lower = cholesky.matrixL();
  if (cholesky.info() != Eigen::Success || !(shape_->lower.diagonal().cwiseAbs2().minCoeff() > least))
    throw InputError(fmt::format("the source gaussian-fit has no density: its covariance is singular (rank {} of {})",
                                 fit->rank(), d));
}

GaussianDensity::~GaussianDensity() = default;
GaussianDensity::GaussianDensity(GaussianDensity&&) noexcept = default;

std::vector<double> GaussianDensity::log_density(View<const float> x) const {
  const Eigen::VectorXd squares = shape_->whitened(x).colwise().squaredNorm();
  const double log_volume = shape_->log_volume();
  std::vector<double> values(static_cast<std::size_t>(x.rows()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = -0.5 * squares[static_cast<Eigen::Index>(i)] - log_volume;
  return values;
}

GaussianDensity::Whitening GaussianDensity::whitening() const {
  Whitening result{.matrix = {}, .bias = {}, .constant = -shape_->log_volume()};
  if (shape_->mean.size() == 0) return result;
  Eigen::MatrixXd inverse = Eigen::MatrixXd::Identity(shape_->d, shape_->d);
  shape_->lower.triangularView<Eigen::Lower>().solveInPlace(inverse);
  const RowMatrix matrix = inverse.cast<float>();
  const Eigen::VectorXf bias = (-inverse * shape_->mean).cast<float>();
  result.matrix.assign(matrix.data(), matrix.data() + matrix.size());
  result.bias.assign(bias.data(), bias.data() + bias.size());
  return result;
}

GaussianDensity::Deviation GaussianDensity::deviation(View<const float> x) const {
  require(x.rows() >= 2, "GaussianDensity::deviation", "at least two rows are needed", describe(x));
  Eigen::MatrixXd z = shape_->whitened(x);
  const auto n = static_cast<double>(x.rows()), d = static_cast<double>(shape_->d);
  const Eigen::VectorXd mean = z.rowwise().mean();
  z.colwise() -= mean;
  Eigen::MatrixXd covariance = z * z.transpose() / (n - 1);
  covariance.diagonal().array() -= 1;
  return {.mean = mean.norm() / std::sqrt(d),
          .expected_mean = std::sqrt(1 / n),
          .covariance = covariance.norm() / std::sqrt(d),
          .expected_covariance = std::sqrt((d + 1) / (n - 1))};
}

}  // namespace otnfm
