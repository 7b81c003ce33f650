// Jacobians and log-determinants against numerical ones in double, and the estimator against the exact value.
#include "layers/maps/log_determinant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "layers/flows/resnet_flow.h"
#include "layers/maps/jacobian.h"
#include "tests/layers/flows/small_flows.h"

namespace otnfm::test {
namespace {

/// Of f at x, by central differences.
template <class Map>
Eigen::MatrixXd numerical_jacobian(const Map& f, const Eigen::VectorXd& x) {
  constexpr double kStep = 1e-5;
  Eigen::MatrixXd j(x.size(), x.size());
  for (Eigen::Index c = 0; c < x.size(); ++c) {
    Eigen::VectorXd up = x, down = x;
    up[c] += kStep;
    down[c] -= kStep;
    j.col(c) = (f(up) - f(down)) / (2 * kStep);
  }
  return j;
}

Eigen::VectorXd row_of(Points& points, std::int64_t i) {
  return Eigen::Map<const Eigen::VectorXf>(points.x().row(i), points.d).cast<double>();
}

double numerical_log_det(const ContractionFlow& flow, Points& points, std::int64_t i) {
  const double t = points.times[static_cast<std::size_t>(i)];
  const Eigen::MatrixXd j =
      numerical_jacobian([&](const Eigen::VectorXd& x) { return flow.in_double(t, x); }, row_of(points, i));
  return std::log(std::abs(j.determinant()));
}

TEST(Jacobian, IsTheNumericalOne) {
  std::mt19937_64 random(std::random_device{}());
  for (const Device device : devices())
    for (const auto& [d, n] : {std::pair<std::int64_t, std::int64_t>{1, 33}, {2, 31}, {5, 7}, {64, 2}}) {
      ContractionFlow flow(d, 2, 19, 0.9, random());
      flow.allocate(device);
      Points points(random, n, d);
      std::vector<float> image(points.values.size()), matrices(static_cast<std::size_t>(n * d * d));
      const View<float> y(image.data(), {n, d}), j(matrices.data(), {n, d, d});
      for (const bool whole : {true, false}) {
        Jacobian jacobian(flow, device, whole ? std::optional<std::int64_t>() : 1, 4 * d);
        jacobian(points.t(), points.x(), y, j);
        for (std::int64_t i = 0; i < n; ++i) {
          const double t = points.times[static_cast<std::size_t>(i)];
          const auto map = [&](const Eigen::VectorXd& x) {
            return whole ? flow.in_double(t, x) : flow.block_in_double(1, t, x);
          };
          const Eigen::MatrixXd want = numerical_jacobian(map, row_of(points, i));
          const Eigen::VectorXd image_want = map(row_of(points, i));
          for (std::int64_t r = 0; r < d; ++r) {
            EXPECT_TRUE(std::abs(y(i, r) - image_want[r]) <= 1e-5 * (1 + std::abs(image_want[r])));
            for (std::int64_t c = 0; c < d; ++c) {
              const double got = j.data[(i * d + r) * d + c];
              EXPECT_TRUE(std::abs(got - want(r, c)) <= 2e-6 * want.norm()) << d << " " << got << " " << want(r, c);
            }
          }
        }
      }
    }
}

TEST(Jacobian, LeavesTheWeightsGradientsAlone) {
  ResNetFlow flow({.dimension = 2, .blocks = 2, .width = 8, .depth = 1});
  flow.parameters().allocate(Device::cpu, 3);
  const View<float> gradients = flow.parameters().gradients();
  std::fill_n(gradients.data, gradients.size(), 7.0f);
  std::vector<float> x(6, 0.5f), t(3, 1), y(6), j(12);
  Jacobian(flow, Device::cpu)({t.data(), {3, 1}}, {x.data(), {3, 2}}, {y.data(), {3, 2}}, {j.data(), {3, 2, 2}});
  for (std::int64_t k = 0; k < gradients.size(); ++k) ASSERT_EQ(gradients.data[k], 7.0f);
}

TEST(Jacobian, IsSummarised) {
  // A rotation by a right angle times 2, and diag(3, -1).
  const float rotation[] = {0, -2, 2, 0}, reflection[] = {3, 0, 0, -1}, zero[] = {0, 0, 0, 0};
  JacobianSummary summary = summarize_jacobian({rotation, {2, 2}});
  EXPECT_NEAR(summary.singular_values[0], 2, 1e-12);
  EXPECT_NEAR(summary.singular_values[1], 2, 1e-12);
  EXPECT_NEAR(summary.log_abs_determinant, std::log(4.0), 1e-12);
  EXPECT_TRUE(summary.keeps_orientation);
  EXPECT_NEAR(summary.asymmetry, 2, 1e-12);
  EXPECT_EQ(summary.negative_part, 0);
  summary = summarize_jacobian({reflection, {2, 2}});
  EXPECT_NEAR(summary.singular_values[1], 1, 1e-12);
  EXPECT_NEAR(summary.log_abs_determinant, std::log(3.0), 1e-12);
  EXPECT_FALSE(summary.keeps_orientation);
  EXPECT_EQ(summary.asymmetry, 0);
  EXPECT_NEAR(summary.negative_part, 1 / std::sqrt(10.0), 1e-12);
  summary = summarize_jacobian({zero, {2, 2}});
  EXPECT_EQ(summary.log_abs_determinant, -INFINITY);
  EXPECT_EQ(summary.asymmetry, 0);
  const float broken[] = {NAN};
  EXPECT_THROW(summarize_jacobian({broken, {1, 1}}), RunError);
  EXPECT_THROW(summarize_jacobian({rotation, {1, 4}}), InputError);
}

TEST(LogDeterminant, IsExactInFewDimensions) {
  std::mt19937_64 random(std::random_device{}());
  for (const Device device : devices())
    for (const auto& [d, n] : {std::pair<std::int64_t, std::int64_t>{1, 31}, {2, 33}, {7, 5}, {64, 3}}) {
      ContractionFlow flow(d, 3, 32, 0.9, random());
      flow.allocate(device);
      Points points(random, n, d);
      LogDeterminant log_determinant(flow, device, 128);
      EXPECT_FALSE(log_determinant.estimates());
      const LogDeterminants got = log_determinant(points.t(), points.x());
      ASSERT_EQ(got.values.size(), static_cast<std::size_t>(n));
      double mean = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        const double want = numerical_log_det(flow, points, i), value = got.values[static_cast<std::size_t>(i)];
        EXPECT_TRUE(std::abs(value - want) <= 1e-4 * std::max(1.0, std::abs(want))) << d << " " << value << " " << want;
        if (points.times[static_cast<std::size_t>(i)] == 0) {
          EXPECT_EQ(value, 0);
        }
        mean += value / static_cast<double>(n);
      }
      EXPECT_NEAR(got.mean, mean, 1e-12);
      EXPECT_EQ(got.mean_standard_error, 0);
    }
}

TEST(LogDeterminant, IsWhatTheFamilySaysInClosedForm) {
  std::mt19937_64 random(std::random_device{}());
  AdditiveCoupling flow(40, 8);  // d = 80
  flow.allocate(Device::cpu, random());
  Points points(random, 9, 80);
  LogDeterminant log_determinant(flow, Device::cpu, 4);
  EXPECT_FALSE(log_determinant.estimates());
  for (const double value : log_determinant(points.t(), points.x()).values) EXPECT_EQ(value, 0);
}

// Many estimates with seeds of their own: their mean lies within 5 standard errors of the exact value (6e-7 of all
// runs do not), and the standard errors that are returned are of the size of the true spread.
TEST(LogDeterminant, IsEstimatedWithoutBias) {
  std::mt19937_64 random(std::random_device{}());
  const std::int64_t d = 12, n = 8;
  for (const double coefficient : {0.5, 0.95}) {
    ContractionFlow flow(d, 2, 16, coefficient, random());
    flow.allocate(Device::cpu);
    Points points(random, n, d);
    std::fill(points.times.begin(), points.times.end(), 1.0f);
    double exact = 0;
    for (std::int64_t i = 0; i < n; ++i) exact += numerical_log_det(flow, points, i) / n;
    constexpr int kSeeds = 150;
    std::vector<double> means;
    double claimed = 0, total = 0, squares = 0;
    for (int k = 0; k < kSeeds; ++k) {
      LogDeterminant estimator(flow, Device::cpu, n,
                               {.max_exact_dimension = 1, .probes = 4, .exact_terms = 1 + k % 4, .seed = random()});
      ASSERT_TRUE(estimator.estimates());
      const LogDeterminants got = estimator(points.t(), points.x());
      ASSERT_EQ(got.standard_errors.size(), static_cast<std::size_t>(n));
      for (const double error : got.standard_errors) EXPECT_GT(error, 0);
      total += got.mean;
      squares += got.mean * got.mean;
      claimed += got.mean_standard_error * got.mean_standard_error;
    }
    const double mean = total / kSeeds, variance = squares / kSeeds - mean * mean;
    EXPECT_TRUE(std::abs(mean - exact) <= 5 * std::sqrt(variance / kSeeds))
        << coefficient << ": " << mean << " " << exact << " " << std::sqrt(variance / kSeeds);
    EXPECT_TRUE(claimed / kSeeds <= 2 * variance && claimed / kSeeds >= variance / 2)
        << claimed / kSeeds << " " << variance;
    // Good for something: closer than the size of what is estimated.
    EXPECT_TRUE(std::sqrt(variance) <= std::max(1.0, std::abs(exact))) << std::sqrt(variance) << " " << exact;
  }
}

TEST(LogDeterminant, EstimatesOnEveryDeviceAndInBatches) {
  std::mt19937_64 random(std::random_device{}());
  const std::int64_t d = 65, n = 13;
  for (const Device device : devices()) {
    ContractionFlow flow(d, 2, 16, 0.4, random());
    flow.allocate(device);
    Points points(random, n, d);
    LogDeterminant estimator(flow, device, 5, {.probes = 6, .seed = 3});
    ASSERT_TRUE(estimator.estimates());
    const LogDeterminants got = estimator(points.t(), points.x()), again = estimator(points.t(), points.x());
    EXPECT_EQ(got.values, again.values);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto row = static_cast<std::size_t>(i);
      // With 6 probes the standard error itself is uncertain: Student's t beyond 15 at 5 degrees of freedom is 1e-5.
      EXPECT_TRUE(std::abs(got.values[row] - numerical_log_det(flow, points, i)) <=
                  40 * got.standard_errors[row] + 1e-4)
          << got.values[row] << " +- " << got.standard_errors[row];
    }
  }
}

TEST(LogDeterminant, RefusesWhatItCannotDo) {
  ResNetFlow flow({.dimension = 65, .blocks = 1, .width = 4, .depth = 1});
  flow.parameters().allocate(Device::cpu, 1);
  try {
    LogDeterminant refused(flow, Device::cpu);
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("d = 65"), std::string::npos) << error.what();
  }
  ContractionFlow small(2, 1, 4, 0.5, 1);
  small.allocate(Device::cpu);
  EXPECT_THROW(LogDeterminant(small, Device::cpu, 4, {.probes = 1}), InputError);
  EXPECT_THROW(LogDeterminant(small, Device::cpu, 4, {.exact_terms = 0}), InputError);
  LogDeterminant log_determinant(small, Device::cpu);
  std::vector<float> x(4, NAN), t(2, 1);
  EXPECT_THROW(log_determinant({t.data(), {2, 1}}, {x.data(), {2, 2}}), RunError);
  EXPECT_THROW(log_determinant({t.data(), {1, 1}}, {x.data(), {2, 2}}), InputError);
  EXPECT_TRUE(log_determinant({nullptr, {0, 1}}, {nullptr, {0, 2}}).values.empty());
}

}  // namespace
}  // namespace otnfm::test
