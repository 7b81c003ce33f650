// The product of a flow that only samples, against double arithmetic.
#include "kernels/host/packed_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/error.h"

namespace otnfm::test {
namespace {

double rounded_if(bool bf16, float value) {
  return bf16 ? static_cast<float>(bfloat16(value)) : value;
}

double activated(Activation kind, double z) {
  if (kind == Activation::silu) return z / (1 + std::exp(-z));
  if (kind == Activation::tanh) return std::tanh(z);
  return z;
}

struct Sizes {
  std::int64_t rows, inner, outputs;
};

void check(const Sizes& sizes, bool bf16, bool with_bias, Activation activation, std::mt19937_64& random) {
  SCOPED_TRACE(testing::Message() << sizes.rows << "x" << sizes.inner << " -> " << sizes.outputs
                                  << (bf16 ? " bf16" : "") << (with_bias ? " bias" : ""));
  std::normal_distribution<float> normal;
  const auto draw = [&](std::int64_t n) {
    std::vector<float> values(static_cast<std::size_t>(n));
    for (float& value : values) value = normal(random);
    return values;
  };
  constexpr std::int64_t kGap = 3;  // between the rows of x and of y, which must stay as it is
  const std::int64_t x_stride = sizes.inner + kGap, y_stride = sizes.outputs + kGap;
  std::vector<float> x_values = draw(sizes.rows * x_stride), weights = draw(sizes.outputs * sizes.inner),
                     bias = draw(sizes.outputs),
                     y_values(static_cast<std::size_t>(sizes.rows * y_stride), std::nanf(""));
  const View<float> x = View<float>(x_values.data(), {sizes.rows, x_stride}).column_slice(0, sizes.inner);
  const View<float> y = View<float>(y_values.data(), {sizes.rows, y_stride}).column_slice(0, sizes.outputs);
  const View<float> weight(weights.data(), {sizes.outputs, sizes.inner});
  PackedWeights packed;
  PackedLinear call{.x = x, .y = y, .activation = activation};
  if (with_bias) call.bias = View<float>(bias.data(), {sizes.outputs});
  if (bf16)
    call.panels_bfloat16 = packed.bfloat16s(weight);
  else
    call.panels = packed.float32(weight);
  Stream stream(Device::cpu);
  packed_linear(stream, call);
  for (std::int64_t i = 0; i < sizes.rows; ++i) {
    for (std::int64_t j = 0; j < sizes.outputs; ++j) {
      double sum = with_bias ? bias[static_cast<std::size_t>(j)] : 0, size = std::fabs(sum);
      for (std::int64_t k = 0; k < sizes.inner; ++k) {
        const double product = rounded_if(bf16, x(i, k)) * rounded_if(bf16, weight(j, k));
        sum += product;
        size += std::fabs(product);
      }
      const double error = std::fabs(y(i, j) - activated(activation, sum));
      ASSERT_TRUE(error <= 1e-7 * (4 + static_cast<double>(sizes.inner) / 2) * (size + 1e-3))
          << y(i, j) << " at " << i << ", " << j;
    }
    for (std::int64_t j = sizes.outputs; j < y_stride; ++j)
      ASSERT_TRUE(std::isnan(y_values[static_cast<std::size_t>(i * y_stride + j)])) << "written behind row " << i;
  }
}

TEST(PackedLinear, AgreesWithDoubleArithmetic) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (const bool bf16 : {false, true})
    for (const bool with_bias : {false, true})
      for (const Activation activation : {Activation::identity, Activation::silu, Activation::tanh})
        for (const Sizes& sizes :
             {Sizes{0, 3, 5}, Sizes{5, 0, 3}, Sizes{1, 1, 1}, Sizes{1, 3, 64}, Sizes{4, 64, 2}, Sizes{31, 33, 31},
              Sizes{33, 31, 33}, Sizes{7, 17, 49}, Sizes{6, 65, 127}, Sizes{9, 128, 130}})
          check(sizes, bf16, with_bias, activation, random);
}

TEST(PackedLinear, RefusesPanelsOfAnotherWeight) {
  std::vector<float> weights(6, 1), x(4, 1), y(6, 1);
  PackedWeights packed;
  Stream stream(Device::cpu);
  const View<const float> panels = packed.float32(View<float>(weights.data(), {2, 3}));
  EXPECT_THROW(
      packed_linear(stream, {.x = View<float>(x.data(), {2, 2}), .panels = panels, .y = View<float>(y.data(), {2, 2})}),
      InputError);
}

}  // namespace
}  // namespace otnfm::test
