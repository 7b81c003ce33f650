// The tape: gradients that add up, memory that is shared only between what is not alive together, errors that name the
// op.
#include "engine/core/tape.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <span>

#include "engine/core/ops.h"
#include "tests/cuda_at_hand.h"

namespace otnfm {
namespace {

std::vector<Device> devices() {
  std::vector<Device> list = {Device::cpu};
  if (cuda_available()) list.push_back(Device::cuda);
  return list;
}

std::vector<float> random_numbers(std::int64_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

/// Memory of a device's with these values.
struct Held {
  Memory memory;
  View<float> view;
  Held(Stream& stream, const std::vector<float>& values, std::initializer_list<std::int64_t> shape)
      : memory(stream.device(), values.size() * sizeof(float), "a test"),
        view(reinterpret_cast<float*>(memory.data()), shape) {
    copy_bytes(stream, memory.data(), values.data(), memory.bytes());
    stream.synchronize();
  }
};

std::vector<float> download(Stream& stream, const View<float>& view) {
  std::vector<float> values(view.size());
  copy_bytes(stream, values.data(), view.data, values.size() * sizeof(float));
  stream.synchronize();
  return values;
}

TEST(Tape, AddsUpTheGradientsOfATensorThatIsUsedTwice) {
  for (Device device : devices()) {
    Stream stream(device);
    Parameters parameters;
    const Parameter w = parameters.add("w", {3, 5}, Initial::normal(1), true);
    parameters.allocate(device, 7);
    const Held zero(stream, std::vector<float>(15, 0.0f), {3, 5});

    // loss = 1/3 || w * w + 2 w ||^2, so d loss / d w = 2/3 (w^2 + 2 w) (2 w + 2)
    Tape tape(device);
    const Tensor x = tape.parameter(parameters, w);
    const Tensor y = add(tape, multiply(tape, x, x), scale(tape, x, 2));
    tape.backward(squared_error(tape, y, tape.external(zero.view)));
    tape.plan();
    for (int run = 0; run < 3; ++run) tape.run(stream);  // a second run overwrites, it does not add

    const std::vector<float> value = download(stream, parameters.value(w)),
                             gradient = download(stream, parameters.gradient(w));
    for (std::size_t i = 0; i < value.size(); ++i) {
      const double v = value[i], want = 2.0 / 3 * (v * v + 2 * v) * (2 * v + 2);
      EXPECT_TRUE(std::abs(gradient[i] - want) <= 1e-5 * (1 + std::abs(want))) << gradient[i] << " " << want;
    }
  }
}

TEST(Tape, AddsUpTheGradientsOfAWeightThatIsBothPartsOfAnOp) {
  Stream stream(Device::cpu);
  Parameters parameters;
  const Parameter w = parameters.add("w", {2, 2}, Initial::normal(1), true);
  parameters.allocate(Device::cpu, 3);
  const Held zero(stream, std::vector<float>(8, 0.0f), {2, 4});
  Tape tape(Device::cpu);
  const Tensor x = tape.parameter(parameters, w);
  tape.backward(squared_error(tape, concat(tape, x, x), tape.external(zero.view)));  // 1/2 || [w | w] ||^2
  tape.plan();
  tape.run(stream);
  for (int i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(parameters.gradient(w).data[i], 2 * parameters.value(w).data[i]);
}

TEST(Tape, GivesZeroToAWeightThatTheLossDoesNotReach) {
  Stream stream(Device::cpu);
  Parameters parameters;
  const Parameter used = parameters.add("used", {2, 2}, Initial::normal(1), true);
  const Parameter unused = parameters.add("unused", {2, 2}, Initial::normal(1), true);
  parameters.allocate(Device::cpu, 1);
  for (float& g : std::span(parameters.gradients().data, parameters.gradients().size())) g = 5;
  const Held zero(stream, std::vector<float>(4, 0.0f), {2, 2});
  Tape tape(Device::cpu);
  tape.parameter(parameters, unused);
  tape.backward(squared_error(tape, tape.parameter(parameters, used), tape.external(zero.view)));
  tape.plan();
  tape.run(stream);
  for (float g : download(stream, parameters.gradient(unused))) EXPECT_EQ(g, 0.0f);
}

/// loss of a two-layer perceptron, with everything that the plan could get wrong: many short-lived tensors.
struct Perceptron {
  Parameters parameters;
  Parameter w0, b0, w1;
  Held x, target;
  Tensor loss;

  Perceptron(Stream& stream, Tape& tape, Precision precision = Precision::float32)
      : x(stream, random_numbers(33 * 7, 1), {33, 7}), target(stream, random_numbers(33 * 5, 2), {33, 5}) {
    w0 = parameters.add("w0", {31, 7}, Initial::normal(0.5), true);
    b0 = parameters.add("b0", {31}, Initial::normal(0.5), false);
    w1 = parameters.add("w1", {5, 31}, Initial::normal(0.5), true);
    parameters.allocate(stream.device(), 3);
    Tensor h = tape.external(x.view);
    h = linear(tape, h, tape.parameter(parameters, w0), tape.parameter(parameters, b0), Activation::silu, precision);
    h = linear(tape, h, tape.parameter(parameters, w1), {}, Activation::identity, precision);
    loss = squared_error(tape, h, tape.external(target.view));
    tape.keep(loss);
    tape.backward(loss);
    tape.plan();
  }

  double loss_at(Stream& stream, Tape& tape) {
    tape.run(stream);
    return download(stream, tape.view(loss))[0];
  }
};

TEST(Tape, GradientsAgreeWithFiniteDifferences) {
  for (Device device : devices()) {
    for (const auto& [precision, tolerance] :
         {std::pair{Precision::float32, 2e-3}, std::pair{Precision::bfloat16, 5e-2}}) {
      Stream stream(device);
      Tape tape(device);
      Perceptron model(stream, tape, Precision::float32);
      Tape other(device);
      Perceptron rounded(stream, other, precision);
      rounded.loss_at(stream, other);
      model.loss_at(stream, tape);
      // Along a random direction, in the float32 model: the loss is a float, so the step must be large and the bound
      // modest; the kernels' own gradients are held to 1e-5 in tests/kernels.
      const View<float> values = model.parameters.values();
      const std::vector<float> start = download(stream, values),
                               gradient = download(stream, rounded.parameters.gradients());
      const std::vector<float> direction = random_numbers(values.size(), 11);
      double along = 0, sides[2];
      for (std::size_t i = 0; i < start.size(); ++i) along += static_cast<double>(gradient[i]) * direction[i];
      for (int side = 0; side < 2; ++side) {
        std::vector<float> moved = start;
        for (std::size_t i = 0; i < start.size(); ++i) moved[i] += (side == 0 ? 1e-3f : -1e-3f) * direction[i];
        copy_bytes(stream, values.data, moved.data(), moved.size() * sizeof(float));
        sides[side] = model.loss_at(stream, tape);
      }
      const double want = (sides[0] - sides[1]) / 2e-3;
      EXPECT_TRUE(std::abs(along - want) <= tolerance * std::abs(want)) << along << " " << want;
    }
  }
}

TEST(Tape, SharingMemoryChangesNothing) {
  for (Device device : devices()) {
    Stream stream(device);
    Tape shared(device), separate(device, {.training = true, .debug_memory = true});
    Perceptron a(stream, shared), b(stream, separate);
    EXPECT_LT(shared.planned_bytes(), shared.unshared_bytes());
    EXPECT_EQ(a.loss_at(stream, shared), b.loss_at(stream, separate));
    EXPECT_EQ(download(stream, a.parameters.gradients()), download(stream, b.parameters.gradients()));
  }
}

TEST(Tape, ACapturedGraphDoesWhatARunDoes) {
  OTNFM_NEEDS_CUDA();
  Stream stream(Device::cuda);
  Tape tape(Device::cuda);
  Perceptron model(stream, tape);
  const double loss = model.loss_at(stream, tape);
  const std::vector<float> gradient = download(stream, model.parameters.gradients());
  const Graph graph = tape.capture(stream);
  zero_bytes(stream, model.parameters.gradients().data, model.parameters.gradients().size() * sizeof(float));
  graph.launch(stream);
  EXPECT_EQ(download(stream, tape.view(model.loss))[0], loss);
  EXPECT_EQ(download(stream, model.parameters.gradients()), gradient);
}

TEST(Tape, NamesTheOpAndTheRunThatMadeANan) {
  for (Device device : devices()) {
    Stream stream(device);
    Tape tape(device, {.training = true, .check_finite = true});
    Perceptron model(stream, tape);
    tape.run(stream);
    std::vector<float> poisoned = random_numbers(33 * 7, 1);
    poisoned[40] = std::nanf("");
    copy_bytes(stream, model.x.view.data, poisoned.data(), poisoned.size() * sizeof(float));
    try {
      tape.run(stream);
      FAIL() << "a NaN went through";
    } catch (const RunError& error) {
      EXPECT_NE(std::string(error.what()).find("matmul, step 1"), std::string::npos) << error.what();
    }
  }
}

TEST(Tape, RefusesWhatMakesNoSense) {
  Stream stream(Device::cpu);
  Tape tape(Device::cpu);
  const Tensor x = tape.make({2, 3}), y = tape.make({3, 2});
  EXPECT_THROW(add(tape, x, y), InputError);
  EXPECT_THROW(tape.run(stream), InputError);
  EXPECT_THROW(tape.backward(tape.make({1})), InputError);
  EXPECT_THROW(tape.make({1, 2, 3, 4, 5}), InputError);
  EXPECT_THROW(tape.make({std::int64_t{1} << 40}), InputError);
  tape.plan();
  EXPECT_THROW(tape.make({2}), InputError);
  EXPECT_THROW(tape.plan(), InputError);
}

TEST(Parameters, AreTheSameOnEveryDeviceAndRefuseTwoOfAName) {
  Parameters a;
  a.add("one", {3, 3}, Initial::uniform(0.5), true);
  EXPECT_THROW(a.add("one", {3}, Initial::zeros(), false), InputError);
  a.allocate(Device::cpu, 5);
  EXPECT_THROW(a.add("two", {3}, Initial::zeros(), false), InputError);
  for (float value : std::span(a.values().data, 9)) EXPECT_TRUE(std::abs(value) <= 0.5f && value != 0.0f);
  if (!cuda_available()) return;
  Parameters b;
  b.add("one", {3, 3}, Initial::uniform(0.5), true);
  b.allocate(Device::cuda, 5);
  Stream stream(Device::cuda), host(Device::cpu);
  EXPECT_EQ(download(host, a.values()), download(stream, b.values()));
}

}  // namespace
}  // namespace otnfm
