// Every option that a model file keeps is a flag, which --help shows with its default and which names itself where it
// is given a wrong value. The options are those that a model file says there are.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/tools/program_fixture.h"

namespace otnfm::test {
namespace {

class OptionsOfTrain : public ProgramTest {
 protected:
  /// What a run without a flag was trained with.
  nlohmann::json defaults() const {
    const std::string data = write_npy("points.npy", {4, 2}, std::vector<float>{0, 1, 1, 0, 2, 1, 1, 2});
    EXPECT_EQ(run("train --device cpu --data " + data + " --steps 0 --out " + path("run")).code, 0);
    const nlohmann::json info = nlohmann::json::parse(run("info --json " + path("run/model.safetensors")).out);
    nlohmann::json training = info.at("training");
    training.erase("data");
    training.erase("steps");
    return training;
  }

  static std::string flag_of(std::string key) {
    std::ranges::replace(key, '_', '-');
    return "--" + key;
  }

  /// What --help says of a flag: its line, and the lines of its words.
  static std::string help_of(const std::string& help, const std::string& flag) {
    const std::size_t begin = help.find("\n  " + flag + " ");
    return begin == std::string::npos ? "" : help.substr(begin, help.find("\n  --", begin + 1) - begin);
  }
};

TEST_F(OptionsOfTrain, AreAllInHelpWithTheirDefaults) {
  const std::string help = run("train --help").out;
  const nlohmann::json all = defaults();
  ASSERT_GT(all.size(), 20u);
  for (const auto& [key, value] : all.items()) {
    const std::string text = help_of(help, flag_of(key));
    ASSERT_FALSE(text.empty()) << flag_of(key) << " is not in --help";
    const nlohmann::json& shown = key == "flow" ? value.at("family") : value;
    const std::string standard = shown.is_string() ? shown.get<std::string>() : shown.dump();
    if (!standard.empty()) {
      EXPECT_TRUE(text.find("(" + standard + ")") != std::string::npos ||
                  text.find("(" + standard + ";") != std::string::npos)
          << standard << " in" << text;
    }
  }
  const nlohmann::json info = nlohmann::json::parse(run("info --json").out);
  for (const auto& [list, flag] : {std::pair{"flows", "--flow"}, {"couplings", "--coupling"}}) {
    std::istringstream names(info.at(list).get<std::string>());
    int count = 0;
    for (std::string name; std::getline(names >> std::ws, name, ','); ++count)
      EXPECT_NE(help_of(help, flag).find("  " + name + ": "), std::string::npos) << name << " of " << flag;
    EXPECT_GE(count, 5);
  }
}

TEST_F(OptionsOfTrain, NameThemselvesWhereAValueIsWrong) {
  const std::string train = "train --data moons --out " + path("x") + " ";
  const nlohmann::json all = defaults();
  for (const auto& [key, value] : all.items()) {
    const std::string flag = flag_of(key);
    if (value.is_number()) {
      for (const char* wrong : {"-1", "many"}) expect_refused(train + flag + " " + wrong, flag + " '" + wrong);
      expect_refused(train + flag + " 1e300", flag);
    } else if (value.is_boolean()) {  // takes none
      expect_refused(train + flag + " perfect", "perfect");
    } else if (key == "from" || key == "source") {  // a file
      expect_refused(train + flag + " " + path("nothing"), path("nothing"));
    } else {
      expect_refused(train + flag + " perfect", flag + " is 'perfect': there are ");
    }
  }
  EXPECT_FALSE(fs::exists(path("x")));
}

TEST_F(OptionsOfTrain, AreTakenFromFlagsAndFilesAlike) {
  std::ofstream(path("options.json"))
      << R"({"warmup": 3, "caches": 2, "hold_out": 0.25, "time_weighting": "endpoint"})";
  const std::string data = write_npy("data.npy", {8, 2},
                                     std::vector<float>{0, 1, 1, 0, 2, 1, 1, 2, 3, 1, 1, 3, 4, 1, 1, 4}),
                    train = "train --device cpu --batch 2 --steps 2 --data " + data + " --out ";
  ASSERT_EQ(run(train + path("file") + " --config " + path("options.json")).code, 0);
  ASSERT_EQ(run(train + path("flags") + " --warmup 3 --caches 2 --hold-out 0.25 --time-weighting endpoint").code, 0);
  EXPECT_EQ(read(path("file/model.safetensors")), read(path("flags/model.safetensors")));
  const Outcome resumed = run("train --device cpu --resume --warmup 4 --out " + path("flags"));
  EXPECT_EQ(resumed.code, 2);
  EXPECT_NE(resumed.err.find("warmup = 3, not 4"), std::string::npos) << resumed.err;
}

}  // namespace
}  // namespace otnfm::test
