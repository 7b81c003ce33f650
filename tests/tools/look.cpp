// The commands that look at a model's map: invert, sample --trajectory, eval --log-likelihood, map.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/tools/program_fixture.h"

namespace otnfm::test {
namespace {

class Look : public ProgramTest {
 protected:
  /// Trains a small model and returns its path.
  std::string train(const std::string& name, const std::string& flow, const std::string& more = "--data moons") const {
    std::ofstream(path(name + ".json")) << R"({"flow": )" << flow << "}";
    const Outcome outcome = run("train " + more + " --coupling minibatch --batch 64 --steps 60 --config " +
                                path(name + ".json") + " --out " + path(name));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return path(name + "/model.safetensors");
  }
  std::string coupling() const {
    return train("coupling", R"({"family": "coupling", "blocks": 2, "width": 8, "depth": 1})");
  }
  std::string contraction() const {
    return train("contraction", R"({"family": "resnet", "invertible": true, "blocks": 2, "width": 8, "depth": 1})");
  }
  std::string free_flow(const std::string& more = "--data moons") const {
    return train("free", R"({"family": "resnet", "blocks": 1, "width": 8, "depth": 1})", more);
  }

  nlohmann::json json_of(const std::string& arguments) const {
    const Outcome outcome = run(arguments + " --json");
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
    return nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  }

  /// The shape in an .npy file's header, and its numbers.
  static std::pair<std::string, std::vector<float>> array(const std::string& file) {
    const std::string bytes = read(file);
    const std::size_t header = 10 + static_cast<unsigned char>(bytes[8]) + 256 * static_cast<unsigned char>(bytes[9]);
    const std::size_t open = bytes.find("'shape': ") + 9;
    std::vector<float> values((bytes.size() - header) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + header, values.size() * sizeof(float));
    return {bytes.substr(open, bytes.find(')', open) - open + 1), values};
  }
};

TEST_F(Look, InvertsDataToNoise) {
  for (const std::string& model : {coupling(), contraction()}) {
    const nlohmann::json result = json_of("invert " + model + " --data moons -n 300 --out " + path("noise.npy"));
    EXPECT_EQ(result["n"], 300);
    EXPECT_TRUE(result["round_trip_error"].get<double>() <= 1e-5) << result;
    for (const char* key : {"mean_deviation", "mean_deviation_expected", "covariance_deviation",
                            "covariance_deviation_expected", "residual", "seconds"})
      EXPECT_TRUE(result[key].is_number()) << key;
    EXPECT_EQ(array(path("noise.npy")).first, "(300, 2)");
  }
  // A sample of the model comes back to the noise that it was made of.
  const std::string model = path("coupling/model.safetensors");
  ASSERT_EQ(run("sample " + model + " -n 50 --trajectory 2 --out " + path("way.npy")).code, 0);
  const std::vector<float> way = array(path("way.npy")).second;
  const std::string samples = write_npy("samples.npy", {50, 2}, std::span(way).subspan(100));
  const Outcome outcome = run("invert " + model + " --data " + samples + " --out " + path("back.npy"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("round trip"), std::string::npos);
  const std::vector<float> back = array(path("back.npy")).second;
  ASSERT_EQ(back.size(), 100u);
  for (std::size_t i = 0; i < back.size(); ++i) EXPECT_NEAR(back[i], way[i], 1e-4);
}

TEST_F(Look, WritesTrajectories) {
  const std::string model = free_flow();
  const nlohmann::json result = json_of("sample " + model + " -n 40 --trajectory 5 --out " + path("way.png"));
  EXPECT_EQ(result["times"], 5);
  EXPECT_EQ(array(path("way.npy")).first, "(5, 40, 2)");
  EXPECT_EQ(read(path("way.png")).substr(1, 3), "PNG");
  // The last points are the samples.
  ASSERT_EQ(run("sample " + model + " -n 40 --out " + path("samples.npy")).code, 0);
  const std::vector<float> way = array(path("way.npy")).second, samples = array(path("samples.npy")).second;
  for (std::size_t i = 0; i < samples.size(); ++i) EXPECT_NEAR(way[way.size() - samples.size() + i], samples[i], 1e-5);
}

TEST_F(Look, SaysHowLikelyDataAre) {
  for (const std::string& model : {coupling(), contraction()}) {
    const nlohmann::json result = json_of("eval " + model + " -n 64 --repeats 1 --log-likelihood");
    EXPECT_TRUE(result["log_likelihood"].is_number()) << result;
    EXPECT_GT(result["log_likelihood_error"].get<double>(), 0);
    EXPECT_EQ(result["log_likelihood_rows"], 64);
    EXPECT_FALSE(result.contains("bits_per_dimension"));
    EXPECT_TRUE(result["w2"].is_number());
  }
  const Outcome outcome = run("eval " + path("coupling/model.safetensors") + " -n 64 --repeats 1 --log-likelihood");
  EXPECT_NE(outcome.out.find("nats"), std::string::npos) << outcome.out;
}

TEST_F(Look, LooksAtTheMap) {
  const std::string model = free_flow();
  const nlohmann::json result = json_of("map " + model + " --points 7 --time 0.5 --out " + path("map.png"));
  EXPECT_EQ(read(path("map.png")).substr(1, 3), "PNG");
  ASSERT_EQ(result["singular_values"].size(), 7u);
  for (const auto& values : result["singular_values"]) {
    ASSERT_EQ(values.size(), 2u);
    EXPECT_GE(values[0].get<double>(), values[1].get<double>());
  }
  EXPECT_TRUE(result["asymmetry"]["mean"].is_number());
  EXPECT_TRUE(result["negative_part"]["max"].is_number());
  // At t = 0 the map is the identity.
  const nlohmann::json start = json_of("map " + model + " --time 0");
  EXPECT_EQ(start["largest_singular_value"]["max"], 1);
  EXPECT_EQ(start["smallest_singular_value"]["min"], 1);
  EXPECT_EQ(start["log_abs_det"]["mean"], 0);
  EXPECT_EQ(start["asymmetry"]["max"], 0);
  EXPECT_EQ(start["folded_share"], 0);
  EXPECT_EQ(run("map " + model).code, 0);
}

TEST_F(Look, SaysInOneLineWhatCannotBe) {
  const std::string free = free_flow();
  const std::string moved = train("moved", R"({"family": "coupling", "blocks": 2, "width": 8, "depth": 1})",
                                  "--data moons --source 8gaussians");
  const std::string other =
      train("five", R"({"family": "resnet", "blocks": 1, "width": 8, "depth": 1})", "--data gaussian:5");
  expect_refused("invert " + free + " --out " + path("x.npy"), "invertible");
  expect_refused("invert " + moved + " --out " + path("x.png"), ".npy");
  expect_refused("invert " + moved + " --data gaussian:3 --out " + path("x.npy"), "3");
  expect_refused("invert " + moved + " -n 0 --out " + path("x.npy"), "-n");
  expect_refused("invert " + path("none.safetensors") + " --out " + path("x.npy"), "none.safetensors");
  expect_refused("invert " + moved, "--out");
  expect_refused("eval " + free + " --log-likelihood", "invertible");
  expect_refused("eval " + moved + " --log-likelihood", "8gaussians");
  expect_refused("sample " + free + " -n 5 --trajectory 1 --out " + path("x.npy"), "--trajectory 1");
  expect_refused("sample " + free + " -n 5 --trajectory -3 --out " + path("x.npy"), "--trajectory -3");
  expect_refused("sample " + free + " -n 0 --trajectory 4 --out " + path("x.npy"), "-n 0");
  expect_refused("sample " + free + " -n 4000000000 --trajectory 4 --out " + path("x.npy"), "memory");
  expect_refused("map " + free + " --time 2", "--time");
  expect_refused("map " + free + " --points 0", "--points");
  expect_refused("map " + free + " --out " + path("x.bmp"), "x.bmp");
  expect_refused("map " + other + " --out " + path("x.png"), "5 dimensions");
  EXPECT_FALSE(fs::exists(path("x.npy")));
  EXPECT_FALSE(fs::exists(path("x.png")));
  // What has no Gaussian source can still be inverted, and any dimension looked at.
  const nlohmann::json inverted = json_of("invert " + moved + " -n 20 --out " + path("y.npy"));
  EXPECT_FALSE(inverted.contains("mean_deviation"));
  EXPECT_EQ(json_of("map " + other + " --points 3")["singular_values"][0].size(), 5u);
}

}  // namespace
}  // namespace otnfm::test
