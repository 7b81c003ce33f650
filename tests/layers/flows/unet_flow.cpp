// The U-Net flow: gradients of every weight, what dropout leaves alone, what cannot be built. That it is the network
// that it says it is, to 1e-4 in every gradient, is compared with PyTorch's by bench/peers/unet.py --check.
#include "layers/flows/unet_flow.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

namespace otnfm {
namespace {

const nlohmann::json kSmall = {{"family", "unet"}, {"image", "8x8x3"}, {"patch", 2},           {"width", 8},
                               {"blocks", 1},      {"heads", 2},       {"multipliers", "1:2"}, {"attention", "4:2"}};

/// A loss of a flow, with random weights everywhere.
struct LossOf {
  std::unique_ptr<Flow> flow;
  std::vector<float> x, target, times;
  Tape tape;
  Tensor loss;
  Stream stream;

  LossOf(const nlohmann::json& configuration, std::uint64_t seed, std::int64_t B, bool training)
      : flow(make_flow(configuration)), tape(Device::cpu, {.training = training}), stream(Device::cpu) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    const std::int64_t d = flow->dimension();
    flow->parameters().allocate(Device::cpu, seed);
    for (float& w : std::span(flow->parameters().values().data, flow->parameters().values().size()))
      w += 0.1f * normal(random);
    for (std::vector<float>* values : {&x, &target}) {
      values->resize(static_cast<std::size_t>(B * d));
      for (float& value : *values) value = normal(random);
    }
    for (std::int64_t b = 0; b < B; ++b) times.push_back(0.2f + 0.7f * static_cast<float>(b) / static_cast<float>(B));
    const Tensor y = flow->forward(tape, tape.external(View<float>(times.data(), {B, 1})),
                                   tape.external(View<float>(x.data(), {B, d})));
    loss = squared_error(tape, y, tape.external(View<float>(target.data(), {B, d})));
    tape.keep(loss);
    if (training) tape.backward(loss);
    tape.plan();
  }
  double operator()() {
    tape.run(stream);
    return tape.view(loss).data[0];
  }
};

TEST(UNetFlow, GradientsAgreeWithFiniteDifferences) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  LossOf loss(kSmall, seed, 2, true);
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const Parameters& parameters = loss.flow->parameters();
  loss();
  std::vector<std::vector<float>> gradients;
  for (int k = 0; k < parameters.count(); ++k) {
    const View<float> gradient = parameters.gradient({k});
    gradients.emplace_back(gradient.data, gradient.data + gradient.size());
  }
  for (int k = 0; k < parameters.count(); ++k) {
    // Along the gradient, where the derivative is its norm, and a direction at random.
    const View<float> value = parameters.value({k});
    const std::vector<float> kept(value.data, value.data + value.size());
    double norm = 0, size = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      norm += gradients[k][i] * gradients[k][i];
      size += kept[i] * kept[i];
    }
    norm = std::sqrt(norm), size = std::sqrt(size);
    ASSERT_GT(norm, 0) << parameters.name(k);
    std::vector<double> direction(kept.size());
    double along = 0, length = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      direction[i] = gradients[k][i] / norm + normal(random) / std::sqrt(static_cast<double>(kept.size()));
      along += direction[i] * gradients[k][i], length += direction[i] * direction[i];
    }
    const double step = 3e-3 * std::max(size, 0.1) / std::sqrt(length);
    const auto moved = [&](double by) {
      for (std::size_t i = 0; i < kept.size(); ++i) value.data[i] = static_cast<float>(kept[i] + by * direction[i]);
      return loss();
    };
    const double difference = (moved(step) - moved(-step)) / (2 * step);
    std::copy(kept.begin(), kept.end(), value.data);
    EXPECT_NEAR(difference, along, 0.02 * norm * std::sqrt(length) + 1e-4 * loss()) << parameters.name(k);
  }
}

TEST(UNetFlow, DropsOutOnlyWhereItLearns) {
  nlohmann::json dropping = kSmall;
  dropping["dropout"] = 0.5;
  const std::uint64_t seed = std::random_device{}();
  LossOf plain(kSmall, seed, 3, true), learning(dropping, seed, 3, true), sampling(dropping, seed, 3, false);
  const double loss = plain();
  EXPECT_NEAR(sampling(), loss, 1e-5 * loss);  // without a backward pass a layer rounds otherwise
  EXPECT_NE(learning(), loss);
  EXPECT_EQ(learning(), learning());  // by its key, which has no step here
}

TEST(UNetFlow, VelocityIsWhatTheMapAdds) {
  const std::unique_ptr<Flow> flow = make_flow(kSmall);
  flow->parameters().allocate(Device::cpu, 3);
  std::mt19937_64 random(3);
  std::normal_distribution<float> normal;
  for (float& w : std::span(flow->parameters().values().data, flow->parameters().values().size()))
    w += 0.1f * normal(random);
  std::vector<float> x(static_cast<std::size_t>(2 * flow->dimension())), t = {0.25f, 0.25f};
  for (float& value : x) value = normal(random);
  Tape tape(Device::cpu, {.training = false});
  const Tensor at = tape.external(View<float>(t.data(), {2, 1}));
  const Tensor from = tape.external(View<float>(x.data(), {2, flow->dimension()}));
  const Tensor y = flow->forward(tape, at, from), g = flow->velocity(tape, at, from);
  tape.keep(y);
  tape.keep(g);
  tape.plan();
  Stream stream(Device::cpu);
  tape.run(stream);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_FLOAT_EQ(tape.view(y).data[i], x[i] + 0.25f * tape.view(g).data[i]) << i;
}

TEST(UNetFlow, NamesWhatCannotBeBuilt) {
  const auto message = [](const nlohmann::json& changes) -> std::string {
    nlohmann::json configuration = kSmall;
    configuration.update(changes);
    try {
      make_flow(configuration);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message(nlohmann::json::object()), "accepted");
  const std::pair<nlohmann::json, const char*> wrong[] = {
      {{{"image", "8x8"}}, "height x width x channels"},
      {{{"image", "8x8x0"}}, "from 1 to"},
      {{{"image", "8x8x3x1"}}, "height x width x channels"},
      {{{"image", ""}}, "image"},
      {{{"dimension", 191}}, "191"},
      {{{"patch", 3}}, "patch 3"},
      {{{"multipliers", "1:2:2:2"}}, "more often"},
      {{{"multipliers", "1:x"}}, "1:x"},
      {{{"multipliers", "1::2"}}, "1::2"},
      {{{"attention", "5"}}, "height 5"},
      {{{"attention", "everywhere"}}, "everywhere"},
      {{{"heads", 3}}, "3 heads"},
      {{{"width", 12}}, "multiple of 8"},
      {{{"dropout", 1.0}}, "dropout"},
  };
  for (const auto& [changes, words] : wrong)
    EXPECT_NE(message(changes).find(words), std::string::npos) << changes << ": " << message(changes);
}

TEST(UNetFlow, APresetSuitsItsImages) {
  for (const Shape& image :
       std::vector<Shape>{{28, 28, 1}, {32, 32, 3}, {64, 48, 3}, {7, 7, 1}, {1, 1, 1}, {256, 256, 3}})
    for (const Device device : {Device::cpu, Device::cuda}) {
      const nlohmann::json configuration = unet_preset(image, device, {{"family", "unet"}});
      const std::unique_ptr<Flow> flow = make_flow(configuration);
      EXPECT_EQ(flow->sample_shape(), image);
      EXPECT_GE(flow->most_rows(), 1);
    }
}

// The levels are as many as the given patches leave room for.
TEST(UNetFlow, APresetGoesWithWhatIsGiven) {
  const nlohmann::json given = {{"family", "unet"}, {"patch", 1}, {"width", 8}};
  const nlohmann::json preset = unet_preset({8, 8, 1}, Device::cpu, given);
  EXPECT_EQ(preset["multipliers"], "1:2");
  EXPECT_EQ(preset["width"], 8);
  EXPECT_EQ(unet_preset({8, 8, 1}, Device::cpu, {{"family", "unet"}})["multipliers"], "1");
}

}  // namespace
}  // namespace otnfm
