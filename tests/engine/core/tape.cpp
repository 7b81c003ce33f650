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
    h = linear(tape, h, tape.parameter(parameters, w0), tape.parameter(parameters, b0),
               {.activation = Activation::silu, .precision = precision});
    h = linear(tape, h, tape.parameter(parameters, w1), {}, {.precision = precision});
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

/// A hidden layer stored as `stored`, by products of bfloat16, with or without the weights' working copies.
std::vector<float> gradients_with(Stream& stream, DType stored, bool working_copy) {
  Parameters parameters;
  const Parameter w0 = parameters.add("w0", {31, 7}, Initial::normal(0.5), true);
  const Parameter b0 = parameters.add("b0", {31}, Initial::normal(0.5), false);
  const Parameter w1 = parameters.add("w1", {5, 31}, Initial::normal(0.5), true);
  parameters.allocate(stream.device(), 3);
  if (working_copy) parameters.make_working_copy(stream);
  const Held x(stream, random_numbers(33 * 7, 1), {33, 7}), target(stream, random_numbers(33 * 5, 2), {33, 5});
  Tape tape(stream.device(), {.training = true, .debug_memory = true});
  const Tensor h = linear(tape, tape.external(x.view), tape.parameter(parameters, w0), tape.parameter(parameters, b0),
                          {.activation = Activation::silu, .precision = Precision::bfloat16, .stored = stored});
  EXPECT_EQ(h.dtype(), stored);
  // Used twice, so that its gradients are added up as they are stored.
  const Tensor twice = add(tape, h, scale(tape, h, 0.5f));
  const Tensor y = linear(tape, twice, tape.parameter(parameters, w1), {}, {.precision = Precision::bfloat16});
  EXPECT_EQ(y.dtype(), DType::float32);
  tape.backward(squared_error(tape, y, tape.external(target.view)));
  EXPECT_EQ(tape.gradient(h).dtype(), stored);
  tape.plan();
  tape.run(stream);
  return download(stream, parameters.gradients());
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double square = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    square += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(square / size);
}

TEST(Tape, StoresActivationsAndTheirGradientsAsAsked) {
  for (Device device : devices()) {
    Stream stream(device);
    const std::vector<float> floats = gradients_with(stream, DType::float32, false),
                             halves = gradients_with(stream, DType::bfloat16, false);
    // Four more roundings to 8 bits on the way of each number; a bound of 2^-6 is four of the largest.
    const double error = difference(halves, floats);
    EXPECT_TRUE(error > 0 && error <= 0x1p-6) << error;
    // A working copy holds what the tape would have rounded.
    EXPECT_EQ(gradients_with(stream, DType::float32, true), floats);
    EXPECT_EQ(gradients_with(stream, DType::bfloat16, true), halves);
  }
}

TEST(Tape, ReshapesWithoutACopy) {
  for (Device device : devices()) {
    Stream stream(device);
    Parameters parameters;
    const Parameter w = parameters.add("w", {6, 2}, Initial::normal(1), true);
    parameters.allocate(device, 7);
    const Held zero(stream, std::vector<float>(12, 0.0f), {3, 4});
    Tape tape(device);
    const Tensor x = tape.parameter(parameters, w), halved = scale(tape, x, 0.5f);
    const std::size_t before = tape.node_count();
    const Tensor square = tape.reshape(tape.reshape(halved, {2, 3, 2}), {3, 4});
    EXPECT_EQ(tape.node_count(), before);
    EXPECT_EQ(square.shape(), (Shape{3, 4}));
    EXPECT_THROW(tape.reshape(halved, {5, 2}), InputError);
    EXPECT_THROW(tape.reshape(halved, {1, 2, 3, 2, 1}), InputError);
    // 1/3 || w / 2 ||^2 + the same of w as it is: both shapes' gradients arrive.
    const Held other(stream, std::vector<float>(12, 0.0f), {6, 2});
    tape.backward(add(tape, squared_error(tape, square, tape.external(zero.view)),
                      squared_error(tape, halved, tape.external(other.view))));
    tape.plan();
    tape.run(stream);
    const std::vector<float> value = download(stream, parameters.value(w)),
                             gradient = download(stream, parameters.gradient(w));
    for (std::size_t i = 0; i < value.size(); ++i)
      EXPECT_NEAR(gradient[i], (1.0 / 3 + 1.0 / 6) * 0.5 * value[i], 1e-6 * (1 + std::abs(value[i])));
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
  EXPECT_THROW(tape.make({2}, DType::int64).stored(), InputError);
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
