#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "engine/metrics/collapse.h"
#include "engine/metrics/frechet.h"
#include "engine/metrics/mmd.h"
#include "engine/metrics/nearest.h"
#include "engine/metrics/precision_recall.h"
#include "engine/metrics/summary.h"
#include "engine/metrics/wasserstein.h"
#include "kernels/error.h"
#include "tests/engine/metrics/samples.h"

namespace otnfm {
namespace {

using testing::normal_points;
using testing::Points;

const float kNan = std::numeric_limits<float>::quiet_NaN();

Points shifted(Points points, std::vector<float> shift) {
  for (std::int64_t i = 0; i < points.n; ++i)
    for (std::int64_t j = 0; j < points.d; ++j) points.view()(i, j) += shift[static_cast<std::size_t>(j)];
  return points;
}

Points shuffled(const Points& points, std::uint32_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(points.n));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  Points result = points;
  for (std::int64_t i = 0; i < points.n; ++i)
    std::copy_n(points.view().row(order[static_cast<std::size_t>(i)]), points.d, result.view().row(i));
  return result;
}

Points constant(std::int64_t n, std::int64_t d, float value) {
  return {std::vector<float>(static_cast<std::size_t>(n * d), value), n, d};
}

double squared_distance(View<const float> a, std::int64_t i, View<const float> b, std::int64_t j) {
  double sum = 0;
  for (std::int64_t k = 0; k < a.columns(); ++k) sum += std::pow(static_cast<double>(a(i, k)) - b(j, k), 2);
  return sum;
}

// A translation is optimal transport: W2 is its length.
TEST(W2, OfAShiftIsItsLength) {
  for (std::int64_t n : {1, 2, 31, 257}) {
    const Points a = normal_points(n, 3, 1);
    const Points b = shuffled(shifted(a, {2, -1, 2}), 2);
    EXPECT_NEAR(w2(a.view(), b.view()), 3, 1e-6);
    EXPECT_NEAR(w2(a.view(), shuffled(a, 5).view()), 0, 1e-6);
  }
}

// So is every map with a symmetric positive derivative: here diag(2, 3).
TEST(W2, OfAStretchIsItsDisplacement) {
  const Points a = normal_points(200, 2, 3);
  Points b = a;
  double cost = 0;
  for (std::int64_t i = 0; i < a.n; ++i) {
    b.view()(i, 0) = 2 * a.view()(i, 0);
    b.view()(i, 1) = 3 * a.view()(i, 1);
    cost += squared_distance(a.view(), i, b.view(), i) / 200;
  }
  EXPECT_NEAR(w2(a.view(), shuffled(b, 4).view()), std::sqrt(cost), 1e-6);
}

TEST(W2, RefusesWhatItCannotCompare) {
  const Points a = normal_points(5, 2, 1);
  EXPECT_THROW(w2(a.view(), normal_points(6, 2, 1).view()), InputError);
  EXPECT_THROW(w2(a.view(), normal_points(5, 3, 1).view()), InputError);
  EXPECT_THROW(w2(View<const float>(nullptr, {0, 2}), View<const float>(nullptr, {0, 2})), InputError);
  Points bad = a;
  bad.values[3] = kNan;
  EXPECT_THROW(w2(a.view(), bad.view()), InputError);
  EXPECT_THROW(w2(bad.view(), a.view()), InputError);
}

TEST(SlicedWasserstein, InOneDimensionIsW2) {
  const Points a = normal_points(301, 1, 1), b = normal_points(301, 1, 2, 0.5, 2);
  EXPECT_NEAR(sliced_wasserstein(a.view(), b.view(), {.projections = 3}), w2(a.view(), b.view()), 1e-6);
}

// A shift by s projects to <s, u>, whose mean square over directions is |s|^2 / d.
TEST(SlicedWasserstein, OfAShift) {
  const Points a = normal_points(64, 4, 1);
  const Points b = shuffled(shifted(a, {3, 0, -4, 0}), 9);
  // <s, u>^2 / (25 / 4) has the variance 2 (d - 1) / (d + 2) = 1 in 4 dimensions.
  const double square = std::pow(sliced_wasserstein(a.view(), b.view(), {.projections = 4000, .seed = 1}), 2);
  EXPECT_NEAR(square / 6.25, 1, 5 / std::sqrt(4000.0));
  EXPECT_EQ(sliced_wasserstein(a.view(), b.view(), {.seed = 5}), sliced_wasserstein(a.view(), b.view(), {.seed = 5}));
  EXPECT_NE(sliced_wasserstein(a.view(), b.view(), {.seed = 5}), sliced_wasserstein(a.view(), b.view(), {.seed = 6}));
  EXPECT_THROW(sliced_wasserstein(a.view(), b.view(), {.projections = 0}), InputError);
  EXPECT_THROW(sliced_wasserstein(a.view(), normal_points(64, 3, 1).view()), InputError);
}

TEST(CovarianceTrace, IsTheSumOfVariances) {
  const Points data = normal_points(500, 7, 1, 100);
  double trace = 0;
  for (std::int64_t j = 0; j < 7; ++j) {
    double mean = 0;
    for (std::int64_t i = 0; i < 500; ++i) mean += data.view()(i, j) / 500.0;
    for (std::int64_t i = 0; i < 500; ++i) trace += std::pow(data.view()(i, j) - mean, 2) / 500.0;
  }
  EXPECT_NEAR(covariance_trace(data.view()), trace, 1e-10 * trace);
  Points half = data;
  for (float& value : half.values) value = 0.5f * value;
  EXPECT_NEAR(covariance_trace(half.view()), 0.25 * trace, 1e-9 * trace);
  EXPECT_EQ(covariance_trace(constant(1, 3, 2).view()), 0);
  EXPECT_EQ(covariance_trace(constant(40, 7, 0.1f).view()), 0);
  EXPECT_THROW(covariance_trace(View<const float>(nullptr, {0, 3})), InputError);
  Points bad = data;
  bad.values[8] = kNan;
  EXPECT_TRUE(std::isnan(covariance_trace(bad.view())));
}

// Of diagonal covariances: sum_j (m1 - m2)^2 + (s1 - s2)^2.
TEST(FrechetDistance, OfKnownGaussians) {
  const std::array<double, 3> mean = {1, -2, 0.5}, s1 = {1, 2, 0}, s2 = {3, 0.5, 1};
  FeatureMoments a{{mean.begin(), mean.end()}, std::vector<double>(9), 10}, b{{0, 0, 0}, std::vector<double>(9), 10};
  double want = 0;
  for (std::size_t j = 0; j < 3; ++j) {
    a.covariance[4 * j] = s1[j] * s1[j];
    b.covariance[4 * j] = s2[j] * s2[j];
    want += mean[j] * mean[j] + std::pow(s1[j] - s2[j], 2);
  }
  EXPECT_NEAR(frechet_distance(a, b), want, 1e-12);
  EXPECT_NEAR(frechet_distance(b, a), want, 1e-12);
  EXPECT_NEAR(frechet_distance(a, a), 0, 1e-12);

  // Rotating both changes nothing; rotating one gives, in two dimensions, tr sqrt = sqrt(tr(C1 C2) + 2 sqrt(det)).
  const double c = std::cos(0.7), s = std::sin(0.7), p = 4, q = 0.25;
  FeatureMoments flat{{0, 0}, {p, 0, 0, q}, 10};
  FeatureMoments turned{{0, 0}, {c * c * p + s * s * q, c * s * (p - q), c * s * (p - q), s * s * p + c * c * q}, 10};
  const double product_trace = p * turned.covariance[0] + q * turned.covariance[3];
  EXPECT_NEAR(frechet_distance(flat, turned), 2 * (p + q) - 2 * std::sqrt(product_trace + 2 * p * q), 1e-12);

  // Of a point, which has no covariance at all.
  const FeatureMoments point{{1, 2}, {0, 0, 0, 0}, 10};
  EXPECT_NEAR(frechet_distance(point, flat), 5 + p + q, 1e-12);
  EXPECT_NEAR(frechet_distance(flat, point), 5 + p + q, 1e-12);
  EXPECT_EQ(frechet_distance(point, point), 0);
}

TEST(FrechetDistance, OfSamples) {
  const Points a = normal_points(1500, 5, 1), b = shifted(a, {1, 0, 2, 0, 0});
  const FeatureMoments moments = feature_moments(a.view());
  for (std::int64_t j = 0; j < 5; ++j)
    for (std::int64_t k = 0; k < 5; ++k) {
      double want = 0;
      for (std::int64_t i = 0; i < a.n; ++i)
        want += (a.view()(i, j) - moments.mean[static_cast<std::size_t>(j)]) *
                (a.view()(i, k) - moments.mean[static_cast<std::size_t>(k)]) / 1499;
      EXPECT_NEAR(moments.covariance[static_cast<std::size_t>(5 * j + k)], want, 1e-10);
    }
  EXPECT_NEAR(frechet_distance(a.view(), b.view()), 5, 1e-5);
  const Points few = normal_points(3, 5, 2);  // a singular covariance
  EXPECT_NEAR(frechet_distance(few.view(), few.view()), 0, 1e-6);
  // Of samples in a plane, one feature constant: either may be the first.
  const auto in_plane = [](float stretch) {
    const Points spread = normal_points(300, 2, 3);
    Points points = constant(300, 5, 7);
    for (std::int64_t i = 0; i < points.n; ++i) {
      const float p = stretch * spread.view()(i, 0), q = spread.view()(i, 1);
      std::ranges::copy(std::array<float, 4>{p, q, p + q, p - 2 * q}, points.view().row(i));
    }
    return points;
  };
  const Points plane = in_plane(1), stretched = in_plane(3);
  EXPECT_NEAR(frechet_distance(plane.view(), plane.view()), 0, 1e-6);
  EXPECT_NEAR(frechet_distance(plane.view(), stretched.view()), frechet_distance(stretched.view(), plane.view()), 1e-5);
  EXPECT_NEAR(frechet_distance(plane.view(), a.view()), frechet_distance(a.view(), plane.view()), 1e-5);
  EXPECT_THROW(feature_moments(normal_points(1, 5, 1).view()), InputError);
  EXPECT_THROW(frechet_distance(a.view(), normal_points(9, 4, 1).view()), InputError);
  Points bad = a;
  bad.values[8] = kNan;
  EXPECT_THROW(frechet_distance(a.view(), bad.view()), InputError);
}

TEST(Mmd, EqualsTheDefinition) {
  for (const auto& [n, m, d] : {std::array<std::int64_t, 3>{2, 2, 1}, {33, 47, 3}, {61, 40, 20}}) {
    const Points a = normal_points(n, d, 1, 0.3), b = normal_points(m, d, 2, 10.0, 1.5);
    std::vector<double> distances;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < m; ++j)
        if (i != j) distances.push_back(squared_distance(b.view(), i, b.view(), j));
    std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2),
                     distances.end());
    const double median = distances[distances.size() / 2];
    const auto mean_kernel = [&](const Points& x, const Points& y, bool same) {
      double sum = 0, count = 0;
      for (std::int64_t i = 0; i < x.n; ++i)
        for (std::int64_t j = 0; j < y.n; ++j) {
          if (same && i == j) continue;
          for (double c : {0.25, 0.5, 1.0, 2.0, 4.0})
            sum += std::exp(-squared_distance(x.view(), i, y.view(), j) / (c * median)) / 5;
          ++count;
        }
      return sum / count;
    };
    const Mmd got = mmd(a.view(), b.view());
    EXPECT_NEAR(got.squared_distance, median, 1e-5 * median);
    EXPECT_NEAR(got.squared, mean_kernel(a, a, true) + mean_kernel(b, b, true) - 2 * mean_kernel(a, b, false), 3e-5);
  }
}

TEST(Mmd, TellsDistributionsApart) {
  const Points a = normal_points(1500, 2, 1), b = normal_points(1500, 2, 2), c = normal_points(1500, 2, 3, 0, 1.5);
  EXPECT_LT(std::abs(mmd(a.view(), b.view()).squared), 2e-3);
  EXPECT_GT(mmd(c.view(), b.view()).squared, 0.01);
  EXPECT_LT(mmd(b.view(), b.view()).squared, 0);  // the means without the diagonal against one with it
  EXPECT_NEAR(mmd(constant(5, 3, 2).view(), constant(6, 3, 2).view()).squared, 0, 1e-6);
  EXPECT_GT(mmd(constant(5, 2, 0).view(), b.view()).squared, 0.1);
  EXPECT_THROW(mmd(a.view(), normal_points(1, 2, 1).view()), InputError);
  EXPECT_THROW(mmd(a.view(), normal_points(9, 3, 1).view()), InputError);
}

void expect_nearest(const Points& samples, const Points& points) {
  const Nearest got = find_nearest(samples.view(), points.view());
  ASSERT_EQ(got.index.size(), static_cast<std::size_t>(samples.n));
  double sum = 0;
  for (std::int64_t i = 0; i < samples.n; ++i) {
    double least = std::numeric_limits<double>::infinity();
    std::int64_t index = -1;
    for (std::int64_t j = 0; j < points.n; ++j) {
      const double squared = squared_distance(samples.view(), i, points.view(), j);
      if (squared < least) {
        least = squared;
        index = j;
      }
    }
    ASSERT_EQ(got.index[static_cast<std::size_t>(i)], index) << "sample " << i;
    ASSERT_NEAR(got.distance[static_cast<std::size_t>(i)], std::sqrt(least), 1e-12 * std::sqrt(least));
    sum += std::sqrt(least);
  }
  EXPECT_NEAR(got.mean_distance(), sum / static_cast<double>(samples.n), 1e-9);
}

TEST(FindNearest, IsBruteForce) {
  expect_nearest(normal_points(1, 1, 1), normal_points(1, 1, 2));
  expect_nearest(normal_points(31, 3, 1), normal_points(33, 3, 2));
  expect_nearest(normal_points(300, 17, 1), normal_points(2111, 17, 2));
  expect_nearest(normal_points(9, 200, 1), normal_points(4500, 200, 2));
}

// Where float32 cannot tell: clouds far from 0, copies of the samples, more equal points than there are candidates.
TEST(FindNearest, IsExactWhereFloatCannotTell) {
  expect_nearest(normal_points(50, 2, 1, 1000, 0.01), normal_points(3000, 2, 2, 1000, 0.01));
  expect_nearest(normal_points(20, 2, 1, 3), normal_points(3000, 2, 2, 0, 1e-3));
  Points points = normal_points(900, 5, 4);
  Points samples = normal_points(40, 5, 5);
  for (std::int64_t i = 0; i < 20; ++i) std::copy_n(points.view().row(7 * i), 5, samples.view().row(i));
  for (std::int64_t i = 600; i < 700; ++i) std::copy_n(points.view().row(70), 5, points.view().row(i));
  expect_nearest(samples, points);
  EXPECT_EQ(find_nearest(samples.view(), points.view()).distance[3], 0);
  expect_nearest(samples, constant(100, 5, 1));
}

TEST(FindNearest, RefusesWhatItCannotCompare) {
  const Points points = normal_points(5, 2, 1);
  const View<const float> nothing(nullptr, {0, 2});
  EXPECT_TRUE(find_nearest(nothing, points.view()).index.empty());
  EXPECT_TRUE(std::isnan(find_nearest(nothing, points.view()).mean_distance()));
  EXPECT_THROW(find_nearest(points.view(), nothing), InputError);
  EXPECT_THROW(find_nearest(points.view(), normal_points(5, 3, 1).view()), InputError);
}

TEST(PrecisionRecall, TellsFidelityFromCoverage) {
  const Points data = normal_points(400, 2, 1);
  const PrecisionRecall same = precision_recall(data.view(), data.view());
  EXPECT_EQ(same.precision, 1);
  EXPECT_EQ(same.recall, 1);
  const Points elsewhere = shifted(data, {100, 0});
  EXPECT_EQ(precision_recall(elsewhere.view(), data.view()).precision, 0);
  EXPECT_EQ(precision_recall(elsewhere.view(), data.view()).recall, 0);
  const PrecisionRecall narrow = precision_recall(normal_points(400, 2, 2, 0, 0.1).view(), data.view());
  EXPECT_GT(narrow.precision, 0.99);
  EXPECT_LT(narrow.recall, 0.2);
  EXPECT_THROW(precision_recall(data.view(), normal_points(3, 2, 1).view()), InputError);
  EXPECT_THROW(precision_recall(data.view(), data.view(), 0), InputError);
  EXPECT_THROW(precision_recall(data.view(), normal_points(400, 3, 1).view()), InputError);
}

// On a line, by hand: data 0 1 2 10, one neighbour: radii 1 1 1 8. Generated 2.5 18.5 -1.5: radii 4, 16, 4.
TEST(PrecisionRecall, ByHand) {
  const Points data{{0, 1, 2, 10}, 4, 1}, generated{{2.5f, 18.5f, -1.5f}, 3, 1};
  const PrecisionRecall got = precision_recall(generated.view(), data.view(), 1);
  EXPECT_DOUBLE_EQ(got.precision, 1.0 / 3);  // 2.5 alone: 18.5 is 8.5 from 10, -1.5 is 1.5 from 0
  EXPECT_DOUBLE_EQ(got.recall, 1);           // 10 is within 16 of 18.5
  EXPECT_DOUBLE_EQ(precision_recall(data.view(), generated.view(), 1).precision, 1);
}

// More points than a block of distances holds, beside the definition.
TEST(PrecisionRecall, OfManyPoints) {
  const Points data = normal_points(2100, 2, 1), generated = normal_points(300, 2, 2, 1, 0.5);
  const auto radii = [](const Points& x) {
    std::vector<double> result;
    for (std::int64_t i = 0; i < x.n; ++i) {
      std::vector<double> distances;
      for (std::int64_t j = 0; j < x.n; ++j)
        if (i != j) distances.push_back(squared_distance(x.view(), i, x.view(), j));
      std::nth_element(distances.begin(), distances.begin() + 2, distances.end());
      result.push_back(distances[2]);
    }
    return result;
  };
  const auto inside = [&](const Points& points, const Points& centres) {
    const std::vector<double> squared_radii = radii(centres);
    double count = 0;
    for (std::int64_t i = 0; i < points.n; ++i) {
      bool any = false;
      for (std::int64_t j = 0; j < centres.n; ++j)
        any |= squared_distance(points.view(), i, centres.view(), j) <= squared_radii[static_cast<std::size_t>(j)];
      count += any ? 1 : 0;
    }
    return count / static_cast<double>(points.n);
  };
  const PrecisionRecall got = precision_recall(generated.view(), data.view());
  EXPECT_NEAR(got.precision, inside(generated, data), 0.004);  // a point at a ball's edge, by rounding
  EXPECT_NEAR(got.recall, inside(data, generated), 0.002);
  EXPECT_LT(got.recall, 0.9);
}

TEST(Summary, OfKnownValues) {
  const std::vector<double> values = {1, 2, 3, 6};
  const Summary summary = summarize(values);
  EXPECT_DOUBLE_EQ(summary.mean, 3);
  EXPECT_DOUBLE_EQ(summary.standard_deviation, std::sqrt(14.0 / 3));
  EXPECT_EQ(summary.count, 4);
  EXPECT_EQ(summarize({values.data(), 1}).standard_deviation, 0);
  EXPECT_TRUE(std::isnan(summarize({}).mean));
}

}  // namespace
}  // namespace otnfm
