// What every flow must be: the identity at t = 0, bit for bit, whatever the weights; and built again from its
// configuration.
#include "layers/flows/flow.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "layers/linear.h"
#include "layers/time_function.h"

namespace otnfm {
namespace {

std::vector<nlohmann::json> configurations() {
  std::vector<nlohmann::json> list;
  for (const char* phi : {"identity", "linear", "tanh", "log", "fourier", "bounded_fourier"})
    list.push_back(
        {{"family", "resnet"}, {"dimension", 3}, {"blocks", 2}, {"width", 17}, {"depth", 2}, {"time_function", phi}});
  list.push_back(
      {{"family", "resnet"}, {"dimension", 1}, {"blocks", 1}, {"width", 1}, {"depth", 0}, {"activation", "gelu"}});
  list.push_back({{"family", "resnet"}, {"dimension", 3}, {"blocks", 5}, {"width", 17}, {"invertible", true}});
  list.push_back({{"family", "gru"}, {"dimension", 3}, {"blocks", 2}, {"width", 17}, {"depth", 1}});
  list.push_back({{"family", "unet"}, {"image", "8x4x3"}, {"width", 8}, {"patch", 2}, {"attention", "4:2"}});
  list.push_back({{"family", "unet"}, {"image", "3x5x1"}, {"width", 16}, {"patch", 1}, {"multipliers", "1"}});
  for (const char* mask : {"alternating", "random"})
    for (const std::int64_t d : {2, 7})
      for (const char* transform : {"affine", "spline"})
        list.push_back({{"family", "coupling"},
                        {"dimension", d},
                        {"blocks", 3},
                        {"width", 17},
                        {"mask", mask},
                        {"transform", transform},
                        {"bins", 5}});
  return list;
}

/// F(t, x) with random weights everywhere, those that start at zero included.
std::vector<float> evaluate(Flow& flow, const std::vector<float>& x, float t) {
  const std::int64_t d = flow.dimension(), B = static_cast<std::int64_t>(x.size()) / d;
  std::vector<float> points = x, times(B, t);
  Stream stream(Device::cpu);
  Tape tape(Device::cpu, {.training = false});
  const Tensor y = flow.forward(tape, tape.external(View<float>(times.data(), {B, 1})),
                                tape.external(View<float>(points.data(), {B, d})));
  tape.keep(y);
  tape.plan();
  tape.run(stream);
  const View<float> result = tape.view(y);
  return std::vector<float>(result.data, result.data + result.size());
}

TEST(Flow, IsTheIdentityAtTimeZeroBitForBit) {
  std::mt19937 random(std::random_device{}());
  std::normal_distribution<float> normal;
  for (const nlohmann::json& configuration : configurations()) {
    const std::unique_ptr<Flow> flow = make_flow(configuration);
    flow->parameters().allocate(Device::cpu, random());
    for (float& w : std::span(flow->parameters().values().data, flow->parameters().values().size())) w = normal(random);
    std::vector<float> x(33 * flow->dimension());
    for (float& v : x) v = 10 * normal(random);
    EXPECT_EQ(evaluate(*flow, x, 0.0f), x) << configuration;
    EXPECT_NE(evaluate(*flow, x, 1.0f), x) << configuration;
  }
}

TEST(Flow, IsBuiltAgainFromItsConfiguration) {
  for (const nlohmann::json& configuration : configurations()) {
    const std::unique_ptr<Flow> flow = make_flow(configuration), again = make_flow(flow->configuration());
    EXPECT_EQ(flow->configuration(), again->configuration());
    ASSERT_EQ(flow->parameters().count(), again->parameters().count());
    for (int k = 0; k < flow->parameters().count(); ++k) {
      EXPECT_EQ(flow->parameters().name(k), again->parameters().name(k));
      EXPECT_EQ(flow->parameters().shape(k), again->parameters().shape(k));
    }
  }
}

// A family's table is all that its configuration has: read, written, with the defaults that the table says.
TEST(Flow, AFamilysTableIsItsConfiguration) {
  for (const FlowFamily& family : flow_families())
    for (const std::int64_t dimension : {2, 16, 17}) {
      if (family.image_preset) continue;  // its keys go together: tests/layers/flows/unet_flow.cpp
      const DataKind kind = dimension > 16 ? DataKind::many_dimensions : DataKind::few_dimensions;
      const nlohmann::json of_family = {{"family", family.name}, {"dimension", dimension}};
      nlohmann::json defaults = make_flow(of_family)->configuration();
      ASSERT_EQ(defaults.size(), family.options().size() + 1) << family.name << ": " << defaults;
      for (const OptionEntry& entry : family.options()) {
        SCOPED_TRACE(std::string(family.name) + ", " + entry.key);
        if (entry.key == "dimension") continue;
        EXPECT_EQ(defaults.at(entry.key), json_of(entry.default_for(kind)));
        EXPECT_FALSE(entry.help.empty());
        // Another value comes back, and nothing else changes.
        const nlohmann::json standard = json_of(entry.standard);
        nlohmann::json other = standard.is_boolean()          ? nlohmann::json(!standard.get<bool>())
                               : standard.is_string()         ? nlohmann::json(entry.words.front().name)
                               : standard.is_number_integer() ? nlohmann::json(standard.get<std::int64_t>() + 1)
                                                              : nlohmann::json(entry.range.least);
        if (other == standard) other = entry.words.back().name;
        if (entry.key == "time_function") other = "identity";  // which every family takes
        nlohmann::json configuration = of_family, expected = defaults;
        configuration[entry.key] = expected[entry.key] = other;
        EXPECT_EQ(make_flow(configuration)->configuration(), expected);
        // What it cannot be is refused by name.
        if (entry.words.empty() && !standard.is_number()) continue;
        configuration[entry.key] = standard.is_string() ? nlohmann::json("perfect") : nlohmann::json(-1);
        try {
          make_flow(configuration);
          FAIL() << configuration;
        } catch (const InputError& error) {
          EXPECT_NE(std::string(error.what()).find("\"" + entry.key + "\""), std::string::npos) << error.what();
        }
      }
    }
}

TEST(Flow, NamesWhatIsWrongWithAConfiguration) {
  const auto message = [](const nlohmann::json& configuration) -> std::string {
    try {
      make_flow(configuration);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(message({{"family", "unet9"}}).find("resnet"), std::string::npos);
  EXPECT_NE(message({{"family", "resnet"}, {"widht", 3}}).find("widht"), std::string::npos);
  EXPECT_NE(message({{"family", "resnet"}, {"width", 0}}).find("width"), std::string::npos);
  EXPECT_NE(message({{"family", "resnet"}, {"blocks", "four"}}).find("blocks"), std::string::npos);
  EXPECT_NE(message({{"family", "resnet"}, {"dimension", 18446744073709551615ull}}).find("dimension"),
            std::string::npos);
  EXPECT_NE(message({{"family", "resnet"}, {"activation", "swoosh"}}).find("silu"), std::string::npos);
  EXPECT_NE(message({{"family", "resnet"}, {"time_function", "cubic"}}).find("tanh"), std::string::npos);
  EXPECT_NE(message({{"family", "resnet"}, {"invertible", true}, {"time_function", "log"}}).find("log"),
            std::string::npos);
  EXPECT_NE(message({{"family", "resnet"}, {"coefficient", 1.0}}).find("coefficient"), std::string::npos);
  EXPECT_NE(message({{"family", "coupling"}, {"dimension", 1}}).find("2 dimensions"), std::string::npos);
  EXPECT_NE(message({{"family", "coupling"}, {"mask", "checkers"}}).find("alternating"), std::string::npos);
  EXPECT_NE(message(nlohmann::json::array()), "accepted");
  EXPECT_NE(message({{"family", 3}}), "accepted");
}

}  // namespace
}  // namespace otnfm
