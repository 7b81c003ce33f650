// The flow in one kernel against the same flow layer by layer: the values, and the gradients of all weights. In
// bfloat16 they are compared at rows where rounding can only go one way (reference_resnet_flow.h), and so to the same
// bounds as in float32.
#include "layers/flows/resnet_flow.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/core/ops.h"
#include "kernels/host/packed_linear.h"
#include "tests/cases/reference_resnet_flow.h"

namespace otnfm {
namespace {

struct Outcome {
  std::vector<float> y, gradients;
  std::size_t nodes = 0;
};

double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0, size = 0;
  if (got.size() != want.size()) return INFINITY;
  for (std::size_t i = 0; i < want.size(); ++i) {
    difference += std::pow(static_cast<double>(got[i]) - want[i], 2);
    size += std::pow(static_cast<double>(want[i]), 2);
  }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

class Comparison {
 public:
  Comparison(const ResNetFlow::Options& options, std::int64_t B, std::uint64_t seed)
      : flow_(options), x_(B * options.dimension), target_(x_.size()), t_(B) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> uniform;
    flow_.parameters().allocate(Device::cpu, seed);
    const View<float> values = flow_.parameters().values();
    const float scale = 1 / std::sqrt(static_cast<float>(std::max<std::int64_t>(2, options.width)));
    for (int k = 0; k < flow_.parameters().count(); ++k)
      for (float& w : std::span(flow_.parameters().value({k}).data, flow_.parameters().value({k}).size()))
        w = scale * normal(random);
    EXPECT_GT(values.size(), 0);
    for (float& v : x_) v = normal(random);
    for (float& v : target_) v = normal(random);
    for (float& v : t_) v = uniform(random);
  }

  void fix_weights() { flow_.fix_weights(); }

  /// Draws other rows for those that are not well conditioned in bfloat16. Not of an invertible flow.
  void draw_again(const ResNetFlow::Options& options, std::uint64_t seed) {
    const std::int64_t d = options.dimension, B = static_cast<std::int64_t>(t_.size());
    ResNetFlowShape shape = {.dimension = d,
                             .blocks = options.blocks,
                             .width = options.width,
                             .depth = options.depth,
                             .activation = options.activation,
                             .phi = options.time_function};
    if (options.time_function != TimeFunctionKind::identity)
      shape.phi_weights = is_fourier(options.time_function) ? 2 * options.fourier_terms : 1;
    std::vector<double> weights;  // the parameters are in the order of the fused kernel
    for (int k = 0; k < flow_.parameters().count(); ++k) {
      const View<float> value = flow_.parameters().value({k});
      weights.insert(weights.end(), value.data, value.data + value.size());
    }
    ASSERT_EQ(static_cast<std::int64_t>(weights.size()), shape.weight_count());
    std::mt19937 random(static_cast<unsigned>(seed) + 1);
    std::normal_distribution<float> normal;
    cases::ResNetFlowRow row(shape, weights.data(), true);
    for (std::int64_t b = 0; b < B; ++b) {
      const auto is_well_conditioned = [&] {
        const std::vector<double> x(x_.begin() + b * d, x_.begin() + (b + 1) * d);
        std::vector<double> dy = row.forward(t_[b], x.data());
        for (std::int64_t j = 0; j < d; ++j) dy[j] = 2 * (dy[j] - target_[b * d + j]) / static_cast<double>(B);
        if (row.well_conditioned) row.backward(dy.data(), 3 * row.error() / static_cast<double>(B), nullptr);
        return row.well_conditioned;
      };
      for (int k = 0; !is_well_conditioned(); ++k) {
        ASSERT_LT(k, 100000);
        for (std::int64_t j = 0; j < d; ++j) x_[b * d + j] = normal(random), target_[b * d + j] = normal(random);
      }
    }
  }

  Outcome run(bool one_kernel, bool training, Precision precision = Precision::float32,
              PackedWeights* packed = nullptr) {
    flow_.one_kernel = one_kernel;
    flow_.precision = precision;
    flow_.bfloat16_storage = DType::float32;  // as the kernel keeps what is not an operand
    const std::int64_t d = flow_.dimension(), B = static_cast<std::int64_t>(t_.size());
    Stream stream(Device::cpu);
    Tape tape(Device::cpu, {.training = training, .packed_weights = packed});
    const Tensor x = tape.external(View<float>(x_.data(), {B, d}));
    if (training) tape.want_gradient(x);
    const Tensor y = flow_.forward(tape, tape.external(View<float>(t_.data(), {B, 1})), x);
    tape.keep(y);
    if (training) {
      tape.backward(squared_error(tape, y, tape.external(View<float>(target_.data(), {B, d}))));
      tape.keep(tape.gradient(x));
    }
    tape.plan();
    Outcome result;
    result.nodes = tape.node_count();
    // The second is what a training run repeats, but for the power iteration of an invertible flow, which goes on.
    for (int k = 0; k < (training && flow_.inversion() != Inversion::none ? 1 : 2); ++k) {
      tape.run(stream);
      const View<float> out = tape.view(y);
      const std::vector<float> before = result.y;
      result.y.assign(out.data, out.data + out.size());
      if (k > 0) {
        EXPECT_EQ(before, result.y);
      }
    }
    if (training) {
      const View<float> dx = tape.view(tape.gradient(x)), dw = flow_.parameters().gradients();
      result.gradients.assign(dx.data, dx.data + dx.size());
      for (int k = 0; k < flow_.parameters().count(); ++k) {
        const View<float> slice = flow_.parameters().gradient({k});
        result.gradients.insert(result.gradients.end(), slice.data, slice.data + slice.size());
      }
      EXPECT_GT(dw.size(), 0);
    }
    return result;
  }

 private:
  ResNetFlow flow_;
  std::vector<float> x_, target_, t_;
};

void compare(const ResNetFlow::Options& options, std::int64_t B, Precision precision = Precision::float32) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed) + ", B " + std::to_string(B) + ", d " +
               std::to_string(options.dimension) + ", width " + std::to_string(options.width) + ", depth " +
               std::to_string(options.depth) + ", activation " + name_of(options.activation) + ", phi " +
               name_of(options.time_function));
  Comparison comparison(options, B, seed), other(options, B, seed);
  if (precision == Precision::bfloat16) {
    comparison.draw_again(options, seed);
    other.draw_again(options, seed);
  } else {
    const Outcome fused = comparison.run(true, false), general = other.run(false, false);
    EXPECT_TRUE(relative_error(fused.y, general.y) <= 1e-5) << relative_error(fused.y, general.y);
  }
  const Outcome trained = comparison.run(true, true, precision), generally = other.run(false, true, precision);
  EXPECT_LT(trained.nodes, generally.nodes);
  EXPECT_TRUE(relative_error(trained.y, generally.y) <= 1e-5) << relative_error(trained.y, generally.y);
  const double error = relative_error(trained.gradients, generally.gradients);
  EXPECT_TRUE(error <= 1e-5) << error;
}

void compare_every_activation_and_time_function(std::int64_t B, Precision precision) {
  for (int a = 0; a <= static_cast<int>(Activation::softplus); ++a)
    for (int p = 0; p <= static_cast<int>(TimeFunctionKind::bounded_fourier); ++p)
      compare({.dimension = 2,
               .blocks = 3,
               .width = 24,
               .depth = 2,
               .activation = static_cast<Activation>(a),
               .time_function = static_cast<TimeFunctionKind>(p)},
              B, precision);
}

TEST(ResNetFlow, InOneKernelEqualsItsLayers) {
  for (const std::int64_t width : {1, 16, 33, 64, 128})
    for (const std::int64_t depth : {0, 1, 2, 3})
      for (const std::int64_t B : {1, 31, 33, 257})
        compare({.dimension = 2, .blocks = 2, .width = width, .depth = depth}, B);
}

TEST(ResNetFlow, InOneKernelTrainsInBfloat16AsItsLayers) {
  for (const std::int64_t width : {1, 16, 33, 64, 128})
    for (const std::int64_t depth : {0, 1, 2, 3})
      for (const std::int64_t B : {1, 31, 33, 257})
        if (B < 100 || (width < 100 && depth < 3))
          compare({.dimension = 1 + (depth + B) % 3, .blocks = 2, .width = width, .depth = depth}, B,
                  Precision::bfloat16);
  compare({.dimension = 64, .blocks = 1, .width = 33, .depth = 1}, 65, Precision::bfloat16);
  compare_every_activation_and_time_function(33, Precision::bfloat16);
}

TEST(ResNetFlow, OfPackedWeightsEqualsItsLayersForFewRows) {
  for (std::int64_t B = 1; B <= 17; ++B)
    for (const std::int64_t width : {33, 64}) {
      for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
        Comparison comparison({.dimension = 2, .blocks = 4, .width = width, .depth = 3}, B, std::random_device{}());
        const Outcome before = comparison.run(true, false, precision);
        comparison.fix_weights();
        PackedWeights packed;
        const Outcome fused = comparison.run(true, false, precision, &packed);
        EXPECT_EQ(fused.nodes, 1U);
        EXPECT_EQ(fused.y, before.y) << "weights that may change";
        EXPECT_EQ(fused.y, comparison.run(true, false, precision).y) << "without packed weights";
        const double error = relative_error(fused.y, comparison.run(false, false, precision).y);
        EXPECT_TRUE(error <= (precision == Precision::bfloat16 ? 2e-2 : 1e-5)) << error;
      }
    }
}

TEST(ResNetFlow, InOneKernelEqualsItsLayersInEveryDimension) {
  for (const std::int64_t d : {1, 3, 15, 16, 17, 31, 63, 64})
    for (const std::int64_t width : {8, 33, 128})
      compare({.dimension = d, .blocks = 2, .width = width, .depth = 2}, 33);
}

TEST(ResNetFlow, InOneKernelEqualsItsLayersWithNormalisedWeights) {
  for (const std::int64_t d : {1, 2, 17})
    for (const std::int64_t width : {16, 33, 128})
      compare({.dimension = d, .blocks = 2, .width = width, .depth = 2, .invertible = true, .coefficient = 0.5}, 33);
}

TEST(ResNetFlow, InOneKernelEqualsItsLayersForEveryActivationAndTimeFunction) {
  compare_every_activation_and_time_function(70, Precision::float32);
}

TEST(ResNetFlow, InBfloat16InOneKernelIsAsCloseAsItsLayers) {
  for (const std::int64_t width : {1, 33, 64, 128})
    for (const std::int64_t d : {1, 2, 64}) {
      Comparison comparison({.dimension = d, .blocks = 4, .width = width, .depth = 3}, 257, std::random_device{}());
      const Outcome fused = comparison.run(true, false, Precision::bfloat16);
      const Outcome general = comparison.run(false, false, Precision::bfloat16), exact = comparison.run(false, false);
      const double ours = relative_error(fused.y, exact.y), theirs = relative_error(general.y, exact.y);
      EXPECT_TRUE(ours <= 2 * theirs + 1e-6) << "width " << width << ", d " << d << ": " << ours << " and " << theirs;
      EXPECT_NE(fused.y, comparison.run(true, false).y) << "nothing was rounded";
    }
}

TEST(ResNetFlow, WiderThanTheKernelGoesLayerByLayer) {
  Comparison comparison({.dimension = 2, .blocks = 1, .width = 129, .depth = 1}, 5, 1);
  EXPECT_EQ(comparison.run(true, true).nodes, comparison.run(false, true).nodes);
  EXPECT_EQ(comparison.run(true, false).y, comparison.run(false, false).y);
}

}  // namespace
}  // namespace otnfm
