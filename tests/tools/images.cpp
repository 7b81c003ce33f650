// Images from array files and folders, trained on with their mirror images, from the command line.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/tools/program_fixture.h"

namespace otnfm::test {
namespace {

using namespace std::string_literals;

// 3 x 2 pixels: grey, and grey with an alpha channel.
const std::string kGrey =
    "\211PNG\015\012\032\012\000\000\000\015IHDR\000\000\000\003\000\000\000\002\010\000\000\000\000\270"
    "\0379\306\000\000\000\023IDATx\001\001\010\000\367\377\000abc\000def\011F\002Vx%RF\000\000\000\000"
    "IEND\256B`\202"s;
const std::string kAlpha =
    "\211PNG\015\012\032\012\000\000\000\015IHDR\000\000\000\003\000\000\000\002\010\004\000\000\0007"
    "}\256\221\000\000\000\031IDATx\001\001\016\000\361\377\000aabbcc\000ddeeff e\004\253\016A\352&\000"
    "\000\000\000IEND\256B`\202"s;

class ImagesProgram : public ProgramTest {
 protected:
  std::string small(const std::string& more) const {
    std::ofstream(path("small.json")) << R"({"flow": {"blocks": 1, "width": 8, "depth": 1}, "steps": 6, "batch": 4})";
    return "train --device cpu --coupling online --config " + path("small.json") + " " + more;
  }

  std::string pictures(int count) const {
    fs::create_directories(path("pictures"));
    for (int i = 0; i < count; ++i) std::ofstream(path("pictures/" + std::to_string(i) + ".png")) << kGrey;
    return path("pictures");
  }

  nlohmann::json training_of(const std::string& run_folder) const {
    return nlohmann::json::parse(run("info --json " + path(run_folder) + "/model.safetensors").out).at("training");
  }
};

TEST_F(ImagesProgram, TrainsOnAFolderAndItsMirrorImages) {
  const Outcome trained = run(small("--flip --data " + pictures(8) + " --out " + path("run")));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(trained.err.find("8 images and their mirror images"), std::string::npos) << trained.err;
  EXPECT_EQ(training_of("run").at("flip"), true);
  const Outcome compared = run("eval --json -n 4 " + path("run/model.safetensors"));
  ASSERT_EQ(compared.code, 0) << compared.err;
  EXPECT_EQ(nlohmann::json::parse(compared.out).at("d"), 6);
  EXPECT_EQ(run("train --resume --flip --steps 9 --out " + path("run")).code, 0);
  EXPECT_EQ(training_of("run").at("flip"), true);

  ASSERT_EQ(run(small("--data " + path("pictures") + " --out " + path("plain"))).code, 0);
  EXPECT_EQ(training_of("plain").at("flip"), false);
  expect_refused("train --resume --flip --out " + path("plain"), "flip");
}

// On the CPU: a pass of a simulated device has 256 images.
TEST_F(ImagesProgram, TrainsAUNetAndGoesOn) {
  const std::string data = write_npy("square.npy", {12, 8, 8, 1}, std::vector<float>(12 * 64, 0.25f));
  const std::string flow = "unet,width=8,attention=4,patch=1";
  const std::string train =
      "train --device cpu --coupling minibatch --batch 4 --steps 3 --flow " + flow + " --data " + data;
  const Outcome trained = run(train + " --out " + path("unet"));
  ASSERT_EQ(trained.code, 0) << trained.err;
  // What the run chose by itself is written down.
  const nlohmann::json about = nlohmann::json::parse(run("info --json " + path("unet/model.safetensors")).out);
  EXPECT_EQ(about.at("training").at("flow").at("image"), "8x8x1");
  EXPECT_EQ(about.at("sampler").at("method"), "map");
  EXPECT_GT(about.at("flops_per_evaluation"), 1e5);
  EXPECT_EQ(run("train --device cpu --resume --flow unet,width=8 --steps 5 --out " + path("unet")).code, 0);
  expect_refused("train --resume --flow unet,width=16 --steps 7 --out " + path("unet"), "flow");
  EXPECT_EQ(run("sample --device cpu " + path("unet/model.safetensors") + " -n 3 --out " + path("s.png")).code, 0);
  expect_refused(
      "sample --device cpu " + path("unet/model.safetensors") + " -n 3 --steps-per-sample 2 --out " + path("s.png"),
      "map");
  expect_refused("train --data 8gaussians --flow unet --out " + path("none"), "images");

  ASSERT_EQ(run(train + " --objective velocity --out " + path("velocity")).code, 0);
  const std::string velocity = path("velocity/model.safetensors");
  const Outcome compared =
      run("eval --device cpu --json -n 4 --repeats 1 --steps-per-sample 3 --sampler midpoint " + velocity);
  ASSERT_EQ(compared.code, 0) << compared.err;
  EXPECT_EQ(nlohmann::json::parse(compared.out).at("nfe"), 6);
  EXPECT_EQ(run("sample --device cpu " + velocity + " -n 2 --trajectory 5 --out " + path("way.npy")).code, 0);
  expect_refused("invert --device cpu " + velocity + " --data " + data + " -n 2 --out " + path("n.npy"), "velocity");
  expect_refused("map --device cpu " + velocity + " --points 2", "velocity");
  expect_refused("features --data " + data + " --out " + path("f.safetensors"), "labels");
  expect_refused("eval --device cpu " + velocity + " --features " + velocity, "otnfm_features");
  expect_refused("train --data " + data + " --flow gru --objective velocity --out " + path("none"), "velocity");
}

TEST_F(ImagesProgram, TrainsOnArraysOfThem) {
  std::vector<float> values(8 * 12, 0.5f);
  const std::string data = write_npy("images.npy", {8, 2, 2, 3}, values);
  const Outcome trained = run(small("--flip --data " + data + " --out " + path("run")));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(run("sample -n 4 --out " + path("grid.png") + " " + path("run/model.safetensors")).code, 0);
}

TEST_F(ImagesProgram, AreDequantisedWhereTheyAreBytes) {
  const std::string train = "train --device cpu --steps 3 --batch 4 --source gaussian --flow coupling,blocks=2 ";
  std::vector<float> values(8 * 6);
  for (std::size_t k = 0; k < values.size(); ++k) values[k] = 0.01f * static_cast<float>(k * k % 97);
  const std::string floats = write_npy("floats.npy", {8, 2, 3, 1}, values);
  ASSERT_EQ(run(train + "--data " + floats + " --out " + path("run")).code, 0);
  for (const bool bytes : {true, false}) {
    const Outcome outcome = run("eval --json --log-likelihood -n 4 --data " + (bytes ? pictures(8) : floats) + " " +
                                path("run/model.safetensors"));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const nlohmann::json result = nlohmann::json::parse(outcome.out);
    EXPECT_TRUE(result.at("log_likelihood").is_number());
    EXPECT_EQ(result.contains("bits_per_dimension"), bytes);
  }
}

TEST_F(ImagesProgram, NamesWhatItRefuses) {
  expect_refused(small("--flip --data moons --out " + path("x")), "--flip turns images round, which moons");
  fs::create_directories(path("empty"));
  expect_refused(small("--data " + path("empty") + " --out " + path("x")), "empty: holds no .png file");
  const std::string folder = pictures(3);
  std::ofstream(folder + "/1.png") << kAlpha;
  expect_refused(small("--data " + folder + " --out " + path("x")), "1.png: has an alpha channel");
  std::ofstream(folder + "/1.png") << kGrey.substr(0, 50);
  expect_refused(small("--data " + folder + " --out " + path("x")), "1.png: cannot be decoded");
  const std::string wrong = write_npy("wrong.npy", {1, 2, 2, 2}, std::vector<float>(8));
  expect_refused(small("--data " + wrong + " --out " + path("x")), "2 channels: wanted 1 or 3");
}

}  // namespace
}  // namespace otnfm::test
