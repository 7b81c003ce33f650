// Every processor's variant of the ResNet flow gives what the first gives, to rounding, and none depends on the number
// of threads or on a row's place in its batch. Gradients in bfloat16 are compared at rows where rounding can only go
// one way (reference_resnet_flow.h), and so to the same bounds as in float32.
#include "kernels/resnet_flow.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/cpu/resnet_flow/layout.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/memory.h"
#include "tests/cases/reference_resnet_flow.h"
#include "tests/kernels/on_devices.h"
#include "tests/kernels/processors.h"

namespace otnfm {
namespace {

Precision precision_of(bool rounded) {
  return rounded ? Precision::bfloat16 : Precision::float32;
}

using cpu::resnet::Variant;

struct Problem {
  ResNetFlowShape shape;
  std::int64_t B;
  std::vector<float> t, x, dy, weights;
  std::vector<double> wide_weights;

  Problem(const ResNetFlowShape& s, std::int64_t rows) : shape(s), B(rows) {
    std::mt19937 random(std::random_device{}());
    std::normal_distribution<float> normal;
    t.resize(B), x.resize(B * s.dimension), dy.resize(x.size()), weights.resize(s.weight_count());
    for (float& v : t) v = std::abs(normal(random));
    for (float& v : x) v = normal(random);
    for (float& v : dy) v = normal(random);
    for (float& v : weights) v = normal(random) / std::sqrt(static_cast<float>(s.width));
    wide_weights.assign(weights.begin(), weights.end());
  }

  /// Draws other rows for those that are not well conditioned in bfloat16.
  void draw_again() {
    std::mt19937 random(std::random_device{}());
    std::normal_distribution<float> normal;
    cases::ResNetFlowRow row(shape, wide_weights.data(), true);
    const std::int64_t d = shape.dimension;
    for (std::int64_t b = 0; b < B; ++b)
      for (;;) {
        const std::vector<double> here(x.begin() + b * d, x.begin() + (b + 1) * d);
        const std::vector<double> upstream(dy.begin() + b * d, dy.begin() + (b + 1) * d);
        if (row.is_well_conditioned(t[b], here.data(), upstream.data())) break;
        for (std::int64_t j = 0; j < d; ++j) x[b * d + j] = normal(random), dy[b * d + j] = normal(random);
      }
  }

  /// What gradients() should give.
  std::vector<float> reference(bool rounded) const {
    cases::ResNetFlowRow row(shape, wide_weights.data(), rounded);
    const std::int64_t d = shape.dimension;
    std::vector<double> dw(weights.size(), 0), dx;
    for (std::int64_t b = 0; b < B; ++b) {
      const std::vector<double> here(x.begin() + b * d, x.begin() + (b + 1) * d);
      const std::vector<double> upstream(dy.begin() + b * d, dy.begin() + (b + 1) * d);
      row.forward(t[b], here.data());
      for (double v : row.backward(upstream.data(), 0, dw.data())) dx.push_back(v);
    }
    std::vector<float> all(dw.begin(), dw.end());
    all.insert(all.end(), dx.begin(), dx.end());
    return all;
  }

  /// Rows [begin, begin + count) alone.
  std::vector<float> forward(const Variant& variant, std::int64_t begin, std::int64_t count, bool rounded = false,
                             const View<const std::uint8_t>& packed = {}) {
    std::vector<float> y(count * shape.dimension, NAN);
    Stream stream(Device::cpu);
    cpu::resnet::forward_by(stream, variant,
                            {.t = View<float>(t.data() + begin, {count}),
                             .x = View<float>(x.data() + begin * shape.dimension, {count, shape.dimension}),
                             .weights = View<float>(weights.data(), {shape.weight_count()}),
                             .y = View<float>(y.data(), {count, shape.dimension}),
                             .packed = packed,
                             .shape = shape,
                             .precision = precision_of(rounded)});
    return y;
  }

  Memory pack(const Variant& variant, bool rounded) const {
    Memory packed(Device::cpu, static_cast<std::size_t>(resnet_flow_packed_bytes(shape)), "packed weights");
    variant.pack(shape, weights.data(), rounded, reinterpret_cast<float*>(packed.data()));
    return packed;
  }

  std::vector<float> gradients(const Variant& variant, bool rounded = false) {
    std::vector<float> y(x.size()), dx(x.size(), NAN), dw(weights.size(), NAN);
    std::vector<std::uint8_t> kept(resnet_flow_kept_bytes(shape, B, precision_of(rounded)), 0xff);
    std::vector<std::uint8_t> scratch(resnet_flow_scratch_bytes(shape, B), 0xff);
    const View<std::uint8_t> kept_view(kept.data(), {static_cast<std::int64_t>(kept.size())});
    const View<float> weights_view(weights.data(), {shape.weight_count()});
    Stream stream(Device::cpu);
    cpu::resnet::forward_by(stream, variant,
                            {.t = View<float>(t.data(), {B}),
                             .x = View<float>(x.data(), {B, shape.dimension}),
                             .weights = weights_view,
                             .y = View<float>(y.data(), {B, shape.dimension}),
                             .kept = kept_view,
                             .shape = shape,
                             .precision = precision_of(rounded)});
    cpu::resnet::backward_by(
        stream, variant,
        {.t = View<float>(t.data(), {B}),
         .dy = View<float>(dy.data(), {B, shape.dimension}),
         .weights = weights_view,
         .kept = kept_view,
         .dweights = View<float>(dw.data(), {shape.weight_count()}),
         .dx = View<float>(dx.data(), {B, shape.dimension}),
         .scratch = View<std::uint8_t>(scratch.data(), {static_cast<std::int64_t>(scratch.size())}),
         .shape = shape,
         .precision = precision_of(rounded)});
    dw.insert(dw.end(), dx.begin(), dx.end());
    return dw;
  }

  /// The same by the ops.
  std::vector<float> gradients_on(Device device, bool rounded) const {
    const std::int64_t d = shape.dimension;
    Stream stream(device);
    const DeviceArray<float> times(stream, t), rows(stream, x), upstream(stream, dy), all(stream, weights);
    const DeviceArray<float> y(stream, std::vector<float>(x.size(), NAN)),
        dx(stream, std::vector<float>(x.size(), NAN)), dw(stream, std::vector<float>(weights.size(), NAN));
    const auto poisoned = [](std::int64_t bytes) {
      return std::vector<std::uint8_t>(static_cast<std::size_t>(bytes), 0xff);
    };
    const DeviceArray<std::uint8_t> kept(stream, poisoned(resnet_flow_kept_bytes(shape, B, precision_of(rounded))));
    const DeviceArray<std::uint8_t> scratch(stream, poisoned(resnet_flow_scratch_bytes(shape, B)));
    resnet_flow_forward(stream, {.t = times.vector(),
                                 .x = rows.matrix(B, d),
                                 .weights = all.vector(),
                                 .y = y.matrix(B, d),
                                 .kept = kept.vector(),
                                 .shape = shape,
                                 .precision = precision_of(rounded)});
    resnet_flow_backward(stream, {.t = times.vector(),
                                  .dy = upstream.matrix(B, d),
                                  .weights = all.vector(),
                                  .kept = kept.vector(),
                                  .dweights = dw.vector(),
                                  .dx = dx.matrix(B, d),
                                  .scratch = scratch.vector(),
                                  .shape = shape,
                                  .precision = precision_of(rounded)});
    std::vector<float> result = dw.values();
    const std::vector<float> last = dx.values();
    result.insert(result.end(), last.begin(), last.end());
    return result;
  }
};

double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    difference += std::pow(static_cast<double>(got[i]) - want[i], 2);
    size += std::pow(static_cast<double>(want[i]), 2);
  }
  return std::sqrt(difference / size);
}

std::vector<ResNetFlowShape> shapes() {
  return {{.dimension = 2, .blocks = 4, .width = 64, .depth = 3, .phi_weights = 1},
          {.dimension = 33, .blocks = 1, .width = 31, .depth = 2, .phi_weights = 1, .activation = Activation::gelu},
          {.dimension = 64, .blocks = 2, .width = 128, .depth = 1, .phi_weights = 4, .phi = TimeFunctionKind::fourier}};
}

TEST(ResNetFlowVariants, AgreeToRounding) {
  for (const ResNetFlowShape& shape : shapes()) {
    Problem problem(shape, 133);
    const auto& best = host::best<Variant>();
    const std::vector<float> y = problem.forward(best, 0, 133), rounded = problem.forward(best, 0, 133, true);
    const std::vector<float> gradients = problem.gradients(best);
    for (const auto& [processor, other] : tables_that_run<Variant>()) {
      EXPECT_TRUE(relative_error(problem.forward(*other, 0, 133), y) <= 2e-6) << name_of(processor);
      EXPECT_TRUE(relative_error(problem.forward(*other, 0, 133, true), rounded) <= 5e-3) << name_of(processor);
      EXPECT_TRUE(relative_error(problem.gradients(*other), gradients) <= 5e-6) << name_of(processor);
    }
  }
}

TEST(ResNetFlowVariants, GiveTheReferencesGradients) {
  for (const ResNetFlowShape& shape : shapes())
    for (const bool rounded : {false, true}) {
      Problem problem(shape, 133);
      if (rounded) problem.draw_again();
      const std::vector<float> want = problem.reference(rounded);
      for (const auto& [processor, variant] : tables_that_run<Variant>()) {
        const double error = relative_error(problem.gradients(*variant, rounded), want);
        EXPECT_TRUE(error <= 5e-6) << name_of(processor) << ", rounded " << rounded << ", width " << shape.width << ": "
                                   << error;
      }
    }
}

TEST(ResNetFlowVariants, GiveARowTheSameBitsInEveryBatch) {
  for (const ResNetFlowShape& shape : shapes()) {
    Problem problem(shape, 133);
    for (const auto& [processor, variant] : tables_that_run<Variant>())
      for (const bool rounded : {false, true}) {
        const std::vector<float> whole = problem.forward(*variant, 0, 133, rounded);
        std::vector<float> parts;
        for (std::int64_t begin = 0, count = 1; begin < 133; begin += count, count = std::min(3 * count, 133 - begin)) {
          const std::vector<float> part = problem.forward(*variant, begin, count, rounded);
          parts.insert(parts.end(), part.begin(), part.end());
        }
        EXPECT_EQ(whole, parts) << name_of(processor);
      }
  }
}

View<const std::uint8_t> bytes_of(const Memory& memory) {
  return {reinterpret_cast<const std::uint8_t*>(memory.data()), {static_cast<std::int64_t>(memory.bytes())}};
}

// Few rows have a way of their own, where the lanes are outputs: it must not show.
void expect_the_bits_of_a_tile(const ResNetFlowShape& shape) {
  constexpr std::int64_t kRows = 80;  // a tile and a part of one
  Problem problem(shape, kRows);
  for (const auto& one : tables_that_run<Variant>())  // not [processor, variant], which clang 14 does not capture
    for (const bool rounded : {false, true}) {
      const Variant& variant = *one.second;
      const std::vector<float> whole = problem.forward(variant, 0, kRows, rounded);
      const Memory packed = problem.pack(variant, rounded);
      const auto expect_part = [&](std::int64_t begin, std::int64_t count) {
        const auto first = whole.begin() + begin * shape.dimension;
        ASSERT_EQ(std::vector<float>(first, first + count * shape.dimension),
                  problem.forward(variant, begin, count, rounded, bytes_of(packed)))
            << name_of(one.first) << ", rounded " << rounded << ", rows " << begin << " and " << count - 1
            << " more, d = " << shape.dimension << ", width " << shape.width << ", activation "
            << static_cast<int>(shape.activation) << ", phi " << static_cast<int>(shape.phi);
      };
      for (std::int64_t count = 1; count <= 17; ++count) expect_part(count, count);
      for (std::int64_t count = 64; count <= 74; ++count) expect_part(0, count);
    }
}

TEST(ResNetFlowVariants, GiveFewRowsTheBitsOfATile) {
  for (const ResNetFlowShape& shape : shapes()) expect_the_bits_of_a_tile(shape);
  for (const std::int64_t width : {1, 2, 15, 16, 17, 63, 65, 127, 128})
    for (const std::int64_t depth : {0, 1, 2})
      expect_the_bits_of_a_tile(
          {.dimension = 1 + width % 64, .blocks = 2, .width = width, .depth = depth, .phi_weights = 1});
  for (int a = 0; a <= static_cast<int>(Activation::softplus); ++a)
    for (int p = 0; p <= static_cast<int>(TimeFunctionKind::bounded_fourier); ++p) {
      const auto phi = static_cast<TimeFunctionKind>(p);
      expect_the_bits_of_a_tile({.dimension = 3,
                                 .blocks = 2,
                                 .width = 21,
                                 .depth = 2,
                                 .phi_weights = phi == TimeFunctionKind::identity ? 0 : (is_fourier(phi) ? 6 : 1),
                                 .activation = static_cast<Activation>(a),
                                 .phi = phi});
    }
}

// Of shapes whose finite differences would take minutes: matrices of several parts, rows of several chunks.
TEST(ResNetFlow, TrainsOnEveryDeviceAsOnTheProcessor) {
  for (const Device device : devices_at_hand())
    for (const ResNetFlowShape& shape : shapes())
      for (const bool rounded : {false, true}) {
        Problem problem(shape, 133);
        if (rounded) problem.draw_again();
        const std::vector<float> want = problem.gradients(host::best<Variant>(), rounded);
        const double error = relative_error(problem.gradients_on(device, rounded), want);
        EXPECT_TRUE(error <= 5e-6) << name_of(device) << ", rounded " << rounded << ", width " << shape.width << ": "
                                   << error;
      }
}

TEST(ResNetFlowVariants, GiveTheSameGradientsForAnyNumberOfThreads) {
  Problem problem(shapes().front(), 400);
  for (const auto& [processor, variant] : tables_that_run<Variant>())
    for (const bool rounded : {false, true}) {
      std::vector<float> alone;
      {
        const host::OneThread one_thread;
        alone = problem.gradients(*variant, rounded);
      }
      const host::ThreadLimit limit(3);
      EXPECT_EQ(alone, problem.gradients(*variant, rounded)) << name_of(processor);
    }
}

TEST(ResNetFlow, NamesWhatItDoesNotTake) {
  Stream stream(Device::cpu);
  std::vector<float> numbers(1000);
  const auto message = [&](const ResNetFlowShape& shape, std::int64_t weights,
                           const View<const std::uint8_t>& packed = {}) -> std::string {
    try {
      resnet_flow_forward(stream, {.t = View<float>(numbers.data(), {3}),
                                   .x = View<float>(numbers.data(), {3, 2}),
                                   .weights = View<float>(numbers.data(), {weights}),
                                   .y = View<float>(numbers.data() + 500, {3, 2}),
                                   .packed = packed,
                                   .shape = shape});
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  const ResNetFlowShape right = {.dimension = 2, .blocks = 1, .width = 4, .depth = 1, .phi_weights = 1};
  EXPECT_EQ(message(right, right.weight_count()), "accepted");
  EXPECT_NE(message(right, right.weight_count() - 1).find("weights"), std::string::npos);
  ResNetFlowShape wrong = right;
  const Memory packed(Device::cpu, static_cast<std::size_t>(resnet_flow_packed_bytes(right)) - 4, "too few weights");
  EXPECT_NE(message(right, right.weight_count(), bytes_of(packed)).find("packed"), std::string::npos);
  wrong.width = 129;
  EXPECT_NE(message(wrong, 1).find("129"), std::string::npos);
  wrong = right;
  wrong.phi_weights = 2;
  EXPECT_NE(message(wrong, 1).find("K = 2"), std::string::npos);
}

}  // namespace
}  // namespace otnfm
