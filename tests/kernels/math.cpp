// Every function of kernels/device/math.h and activation.h against double, over dense ranges with their extremes: to
// 4e-7 relative, the normal distribution to 5e-7 (where a function crosses 0, of the larger of |f| and a floor). On the
// host; the GPU's own exp is tested through the ops.
#include "kernels/device/math.h"

#include <gtest/gtest.h>

#include <limits>

#include "kernels/device/activation.h"

namespace otnfm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

/// The largest |got - want| / max(|want|, floor) over 400,001 points of [low, high]; infinite where got is NaN.
template <class Got, class Want>
double worst_error(double low, double high, const Got& got, const Want& want, double floor = 0) {
  double worst = 0;
  for (int k = 0; k <= 400000; ++k) {
    const float x = static_cast<float>(low + (high - low) * k / 400000);
    const double w = want(static_cast<double>(x)), g = static_cast<double>(got(x));
    if (g == w) continue;
    const double error = std::abs(g - w) / std::max(std::abs(w), floor);
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return worst;
}

double sigmoid_in_double(double x) {
  return 1 / (1 + std::exp(-x));
}
double cdf_in_double(double x) {
  return 0.5 * std::erfc(-x / std::sqrt(2.0));
}
double density_in_double(double x) {
  return std::exp(-0.5 * x * x) / std::sqrt(2 * M_PI);
}

// By a lambda, since `got` is always inline and has no address.
#define EXPECT_WITHIN(bound, low, high, got, ...)                           \
  do {                                                                      \
    const double worst = worst_error(                                       \
        low, high, [&](float number) { return got(number); }, __VA_ARGS__); \
    EXPECT_TRUE(worst <= bound) << worst;                                   \
  } while (false)
#define EXPECT_ACCURATE(...) EXPECT_WITHIN(4e-7, __VA_ARGS__)

TEST(Math, ExpIsAccurate) {
  EXPECT_ACCURATE(-86.9, 88.7, exp_of, [](double x) { return std::exp(x); });
  EXPECT_ACCURATE(-1e-3, 1e-3, exp_of, [](double x) { return std::exp(x); });
  EXPECT_ACCURATE(88.3, 88.72, exp_of, [](double x) { return std::exp(x); });
}

TEST(Math, ExpAtTheExtremes) {
  EXPECT_EQ(exp_of(0.0f), 1.0f);
  EXPECT_EQ(exp_of(-87.4f), 0.0f);
  EXPECT_EQ(exp_of(-1e30f), 0.0f);
  EXPECT_EQ(exp_of(-kInfinity), 0.0f);
  EXPECT_EQ(exp_of(88.75f), kInfinity);
  EXPECT_EQ(exp_of(1e30f), kInfinity);
  EXPECT_EQ(exp_of(kInfinity), kInfinity);
}

TEST(Math, Exp2IsAccurate) {
  EXPECT_ACCURATE(-125.4, 127.99, exp2_of, [](double x) { return std::exp2(x); });
  EXPECT_ACCURATE(-1e-3, 1e-3, exp2_of, [](double x) { return std::exp2(x); });
  EXPECT_EQ(exp2_of(0.0f), 1.0f);
  EXPECT_EQ(exp2_of(-130.0f), 0.0f);
  EXPECT_EQ(exp2_of(-kInfinity), 0.0f);
  EXPECT_EQ(exp2_of(128.0f), kInfinity);
  EXPECT_EQ(exp2_of(1e30f), kInfinity);
  EXPECT_TRUE(std::isnan(exp2_of(kNaN)));
}

TEST(Math, LogarithmsAreAccurate) {
  const auto log = [](double x) { return std::log(x); };
  EXPECT_ACCURATE(0.01, 0.99, log_exact_bits, log);
  EXPECT_ACCURATE(1.01, 100, log_exact_bits, log);
  EXPECT_ACCURATE(0.99, 1.01, log_exact_bits, log);
  EXPECT_ACCURATE(1.2e-38, 1e-30, log_exact_bits, log);
  EXPECT_ACCURATE(1e30, 3.4e38, log_exact_bits, log);
  const auto log1p = [](double x) { return std::log1p(x); };
  EXPECT_ACCURATE(0, 1, log1p_small, log1p);
  EXPECT_ACCURATE(0, 1e-3, log1p_of, log1p);
  EXPECT_ACCURATE(0, 10, log1p_of, log1p);
  EXPECT_ACCURATE(1, 1e30, log1p_of, log1p);
}

TEST(Math, SineAndCosineOfTurnsAreAccurate) {
  const auto sine = [](float u) {
    float s, c;
    sincos_turns(u, s, c);
    return s;
  };
  const auto cosine = [](float u) {
    float s, c;
    sincos_turns(u, s, c);
    return c;
  };
  EXPECT_ACCURATE(
      0, 0.99999994, sine, [](double u) { return std::sin(2 * M_PI * u); }, 0.1);
  EXPECT_ACCURATE(
      0, 0.99999994, cosine, [](double u) { return std::cos(2 * M_PI * u); }, 0.1);
  EXPECT_EQ(sine(0.0f), 0.0f);
  EXPECT_EQ(cosine(0.0f), 1.0f);
}

TEST(Math, SigmoidTanhSoftplusAreAccurate) {
  EXPECT_ACCURATE(-86, 88, sigmoid, sigmoid_in_double);
  EXPECT_ACCURATE(-20, 20, tanh_of, [](double x) { return std::tanh(x); });
  EXPECT_ACCURATE(-1, 1, tanh_of, [](double x) { return std::tanh(x); });
  EXPECT_ACCURATE(-1e-3, 1e-3, tanh_of, [](double x) { return std::tanh(x); });
  EXPECT_ACCURATE(-86, 88, softplus, [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); });
}

TEST(Math, TheNormalDistributionIsAccurate) {
  EXPECT_WITHIN(5e-7, 0, 12.5, normal_tail, [](double z) { return cdf_in_double(-z); });
  EXPECT_WITHIN(5e-7, -12.5, 12.5, normal_cdf, cdf_in_double);
}

TEST(Math, ActivationsAreAccurate) {
  EXPECT_ACCURATE(-86, 88, activate<Activation::silu>, [](double z) { return z * sigmoid_in_double(z); });
  EXPECT_WITHIN(5e-7, -12.5, 12.5, activate<Activation::gelu>, [](double z) { return z * cdf_in_double(z); });
  EXPECT_ACCURATE(-5, 5, activate<Activation::relu>, [](double z) { return std::max(z, 0.0); });
  EXPECT_ACCURATE(-5, 5, activate<Activation::identity>, [](double z) { return z; });
}

TEST(Math, DerivativesAreAccurate) {
  EXPECT_ACCURATE(-40, 40, activate_derivative<Activation::tanh>, [](double z) { return std::pow(std::cosh(z), -2); });
  EXPECT_ACCURATE(-80, 80, activate_derivative<Activation::sigmoid>,
                  [](double z) { return sigmoid_in_double(z) * sigmoid_in_double(-z); });
  EXPECT_ACCURATE(
      -80, 80, activate_derivative<Activation::silu>,
      [](double z) { return sigmoid_in_double(z) * (1 + z * sigmoid_in_double(-z)); }, 0.1);
  EXPECT_ACCURATE(
      -12, 12, activate_derivative<Activation::gelu>,
      [](double z) { return cdf_in_double(z) + z * density_in_double(z); }, 0.5);
  EXPECT_ACCURATE(-86, 88, activate_derivative<Activation::softplus>, sigmoid_in_double);
}

TEST(Math, NaNStaysNaN) {
  EXPECT_TRUE(std::isnan(exp_of(kNaN)));
  EXPECT_TRUE(std::isnan(sigmoid(kNaN)));
  EXPECT_TRUE(std::isnan(tanh_of(kNaN)));
  EXPECT_TRUE(std::isnan(softplus(kNaN)));
  EXPECT_TRUE(std::isnan(log1p_of(kNaN)));
  EXPECT_TRUE(std::isnan(normal_tail(kNaN)));
  EXPECT_TRUE(std::isnan(normal_cdf(kNaN)));
  for (Activation kind : {Activation::identity, Activation::relu, Activation::tanh, Activation::sigmoid,
                          Activation::silu, Activation::gelu, Activation::softplus})
    with_activation(kind, []<Activation k>() { EXPECT_TRUE(std::isnan(activate<k>(kNaN))) << static_cast<int>(k); });
}

TEST(Math, FarFromZero) {
  EXPECT_EQ(sigmoid(kInfinity), 1.0f);
  EXPECT_EQ(sigmoid(-kInfinity), 0.0f);
  EXPECT_EQ(tanh_of(kInfinity), 1.0f);
  EXPECT_EQ(tanh_of(-kInfinity), -1.0f);
  EXPECT_EQ(softplus(kInfinity), kInfinity);
  EXPECT_EQ(softplus(-kInfinity), 0.0f);
  EXPECT_EQ(normal_cdf(1e10f), 1.0f);
  EXPECT_EQ(normal_cdf(-1e10f), 0.0f);
  EXPECT_EQ(activate<Activation::silu>(1e30f), 1e30f);
  EXPECT_EQ(activate<Activation::silu>(-1e30f), 0.0f);
  EXPECT_EQ(activate<Activation::gelu>(-1e30f), 0.0f);
  EXPECT_EQ(tanh_of(0.0f), 0.0f);
}

}  // namespace
}  // namespace otnfm
