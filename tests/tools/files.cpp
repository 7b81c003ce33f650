// Files and numbers as people have them: arrays of every kind in, .npy and .csv out, names of any bytes, and every
// number that is none refused.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/tools/program_fixture.h"

namespace otnfm::test {
namespace {

class Files : public ProgramTest {
 protected:
  std::string put(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  /// Eight points of whole numbers on a line that the optimal pairing turns round, as text.
  std::string source() const { return put("a.csv", "x,y\n0,0\n1,0\n2,0\n3,0\n"); }
  std::string target() const { return put("b.csv", "3.5,0\n2.5,0\n1.5,0\n0.5,0\n"); }

  nlohmann::json json_of(const std::string& arguments) const {
    const Outcome outcome = run(arguments + " --json");
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
    return nlohmann::json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  }

  std::string model() const {
    const std::string config = put("small.json", R"({"flow": {"blocks": 1, "width": 8, "depth": 1}})");
    const Outcome outcome = run("train --data moons --coupling minibatch --batch 32 --steps 20 --config " + config +
                                " --out " + path("run"));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return path("run/model.safetensors");
  }
};

TEST_F(Files, ReadsAndWritesTablesAsText) {
  const std::string points = "couple --source " + source() + " --target " + target();
  const nlohmann::json result = json_of(points + " --out " + path("s.csv") + " --potentials-out " + path("g.csv") +
                                        " --plan-out " + path("p.csv"));
  EXPECT_DOUBLE_EQ(result["primal_cost"], 0.25);
  EXPECT_EQ(read(path("s.csv")), "3\n2\n1\n0\n");
  EXPECT_EQ(read(path("p.csv")), "0,0,0,0.25\n0,0,0.25,0\n0,0.25,0,0\n0.25,0,0,0\n");
  EXPECT_EQ(json_of(points + " --solver auction --warm-start " + path("g.csv"))["is_permutation"], true);
  // Whole costs are whole: 2^53 + 1 is no double.
  const std::string costs = put("c.csv", "9007199254740993,1\n1,9007199254740993\n");
  EXPECT_EQ(json_of("couple --cost " + costs)["primal_cost"], 1);
  EXPECT_EQ(json_of("couple --solver sinkhorn --cost " + put("d.csv", "1,2\n2,1") + " --source-weights " +
                    put("w.csv", "weight\n1\n3\n"))["n"],
            2);
  const std::string trained = model();
  ASSERT_EQ(run("sample " + trained + " -n 5 --out " + path("x.csv")).code, 0);
  const std::string text = read(path("x.csv"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_EQ(std::count(text.begin(), text.end(), ','), 5);
  EXPECT_EQ(run("eval " + trained + " -n 64 --repeats 1 --data " + path("x.csv")).code, 0);
  expect_refused("train --data " + put("bad.csv", "x,y\n1,2\n3,many\n") + " --out " + path("y"), "line 3, column 2");
}

TEST_F(Files, AStackOfNoProblemsHasAnEmptyAnswer) {
  const std::string points = write_npy("p.npy", {0, 5, 2}, {}), costs = write_npy("c.npy", {0, 4, 6}, {});
  for (const std::string& problem : {"--source " + points + " --target " + points, "--cost " + costs})
    for (const char* solver : {"exact", "auction", "sinkhorn"}) {
      const nlohmann::json result = json_of("couple --batch " + problem + " --solver " + solver + " --out " +
                                            path("s.npy") + " --potentials-out " + path("g.npy"));
      EXPECT_EQ(result["batch"], 0);
      EXPECT_EQ(result["problems"], nlohmann::json::array());
      const bool square = problem.starts_with("--source");
      EXPECT_NE(read(path("s.npy")).find(square ? "(0, 5)" : "(0, 4)"), std::string::npos) << read(path("s.npy"));
      EXPECT_NE(read(path("g.npy")).find(square ? "(0, 5)" : "(0, 6)"), std::string::npos) << read(path("g.npy"));
    }
  EXPECT_EQ(run("couple --batch --cost " + costs).code, 0);
  expect_refused("couple --batch --cost " + costs + " --plan-out " + path("x.npy"), "--plan-out");
}

TEST_F(Files, RefusesOutputsAtOnce) {
  const std::string points = "couple --source " + source() + " --target " + target();
  const std::string trained = model();
  for (const std::string& command : {points, "sample " + trained + " -n 3", "invert " + trained, "map " + trained}) {
    expect_refused(command + " --out -", "--out '-': standard output");
    expect_refused(command + " --out " + path("x.bmp"), "x.bmp");
    expect_refused(command + " --out " + path("none"), "must end in .");
    expect_refused(command + " --out ''", "--out ''");
    expect_refused(command + " --out " + path("nowhere/x.npy") + " --out " + path("y.npy"), "--out");
  }
  expect_refused("train --data moons --out -", "--out '-'");
  expect_refused(points + " --potentials-out " + path("nowhere/g.npy"), "--potentials-out " + path("nowhere/g.npy"));
  expect_refused(points + " --plan-out -", "--plan-out '-'");
  expect_refused("eval " + trained + " --neighbours -", "--neighbours '-'");
  expect_refused("sample " + trained + " -n 3 --trajectory 3 --out " + path("x.csv"), "--trajectory");
  expect_refused(points + " --out " + path("x.npy") + " --potentials-out " + path("run/../x.npy"),
                 "is what --out writes");
  EXPECT_EQ(run(points + " --out /dev/null --plan-out /dev/null").code, 0);
  EXPECT_FALSE(fs::exists("-"));
}

TEST_F(Files, TakesNamesOfAnyBytes) {
  const std::string odd = "odd\xff\xfe";
  const std::string points = "couple --source " + put(odd + ".csv", "1,2\n3,4\n") + " --target " + target();
  EXPECT_EQ(json_of(points + " --out '" + path(odd + ".npy") + "'")["n"], 2);
  EXPECT_TRUE(fs::exists(path(odd + ".npy")));
  const std::string config = put("small.json", R"({"flow": {"blocks": 1, "width": 8, "depth": 1}})");
  const nlohmann::json trained = json_of("train --data moons --coupling minibatch --batch 32 --steps 3 --config " +
                                         config + " --out '" + path(odd) + "'");
  EXPECT_EQ(trained["steps_done"], 3);
  EXPECT_NE(trained["out"].get<std::string>().find("odd\xef\xbf\xbd"), std::string::npos);
  const nlohmann::json sampled =
      json_of("sample '" + path(odd + "/model.safetensors") + "' -n 3 --out '" + path(odd + ".png") + "'");
  EXPECT_EQ(sampled["n"], 3);
  EXPECT_EQ(json_of("eval '" + path(odd + "/model.safetensors") + "' -n 64 --repeats 1")["nfe"], 1);
  EXPECT_EQ(json_of("map '" + path(odd + "/model.safetensors") + "' --points 3")["points"], 3);
  // What the model itself keeps must be a text that JSON holds: said before the work.
  expect_refused("train --data '" + path(odd + ".csv") + "' --out " + path("kept"), "UTF-8");
  expect_refused("train --data moons --flow 'resnet,blocks=\xff' --out " + path("kept"),
                 "\"blocks\" must be an integer");
  // An error is one line, whatever the name holds.
  const Outcome refused = run("info '" + path("two\nlines") + "'");
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
}

TEST_F(Files, WritesThroughLinksAndKeepsModes) {
  const std::string points = "couple --source " + source() + " --target " + target();
  fs::create_directory(path("big"));
  fs::create_symlink("big/s.npy", path("link.npy"));
  ASSERT_EQ(run(points + " --out " + path("link.npy")).code, 0);
  EXPECT_TRUE(fs::is_symlink(path("link.npy")));
  EXPECT_TRUE(fs::exists(path("big/s.npy")));
  fs::permissions(path("big/s.npy"), fs::perms{0600});
  ASSERT_EQ(run(points + " --out " + path("link.npy")).code, 0);
  EXPECT_EQ(fs::status(path("big/s.npy")).permissions(), fs::perms{0600});

  const std::string trained = model();
  std::error_code error;
  for (const char* file : {"model.safetensors", "state.safetensors", "metrics.jsonl", "samples.png"}) {
    ASSERT_TRUE(fs::exists(fs::path(path("run")) / file)) << file;
    fs::create_directories(path("again"));
    fs::create_symlink(path("big/") + file, fs::path(path("again")) / file);
  }
  const Outcome again = run("train --data moons --coupling minibatch --batch 32 --steps 20 --config " +
                            path("small.json") + " --out " + path("again"));
  ASSERT_EQ(again.code, 0) << again.err;
  for (const char* file : {"model.safetensors", "state.safetensors", "metrics.jsonl", "samples.png"}) {
    EXPECT_TRUE(fs::is_symlink(fs::path(path("again")) / file)) << file;
    EXPECT_TRUE(fs::exists(path("big/") + file)) << file;
  }
  EXPECT_EQ(read(path("again/model.safetensors")), read(trained));
}

// Every number of every command: nothing wraps, nothing is taken for 0.
TEST_F(Files, RefusesWhatIsNoNumberAndQuotesIt) {
  const std::string points = "couple --source " + source() + " --target " + target();
  const std::vector<std::pair<std::string, std::vector<std::string>>> commands = {
      {points,
       {"--max-gap", "--max-seconds", "--max-iterations", "--epsilon", "--tolerance", "--marginal-penalty", "--threads",
        "--seed"}},
      {"train --data moons --out " + path("x"),
       {"--steps", "--batch", "--bank", "--caches", "--axes", "--lr", "--log-every", "--checkpoint-every",
        "--max-seconds", "--seed", "--threads"}},
      {"sample m --out " + path("x.npy"), {"-n", "--trajectory", "--seed", "--threads"}},
      {"eval m", {"-n", "--repeats", "--seed", "--threads"}},
      {"invert m --out " + path("x.npy"), {"-n", "--seed", "--threads"}},
      {"map m", {"--time", "--points", "--seed", "--threads"}},
  };
#ifdef OTNFM_PROGRAM_SANITIZED
  constexpr int kEach = 1;  // a start takes half a second
#else
  constexpr int kEach = 3;
#endif
  const char* wrongs[] = {"''", "nan", "inf", "-1e999", "1e999", "0x10", "1x", "' 1'", "-nan", "1,5"};
  std::size_t next = 0;
  for (const auto& [command, options] : commands)
    for (const std::string& option : options)
      for (int k = 0; k < kEach; ++k)  // in turn
        expect_refused(command + " " + option + " " + wrongs[next++ % std::size(wrongs)], option + " '");
  for (const char* wrong : {"-1", "18446744073709551616", "1e3", "1.5", "+-1"})
    expect_refused(points + " --seed " + wrong,
                   "--seed '" + std::string(wrong) + "': wanted a whole number of at least 0");
  for (const std::string& command : {"sample m --out " + path("x.npy") + " -n -1", std::string("eval m -n -1")})
    expect_refused(command, "-n '-1': wanted a whole number");
  expect_refused("sample m --out " + path("x.npy") + " -n 9223372036854775808", "-n '9223372036854775808'");
  EXPECT_EQ(run(points + " --seed 18446744073709551615").code, 0);
}

TEST_F(Files, InfoSaysTheConfigurationFirst) {
  const std::string trained = model();
  const Outcome outcome = run("info " + trained);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_LT(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 60) << outcome.out;
  EXPECT_EQ(outcome.out.rfind("resnet: ", 0), 0u) << outcome.out;
  for (const char* word : {"d = 2", "after 20 steps", "moons", "minibatch", "--tensors"})
    EXPECT_NE(outcome.out.find(word), std::string::npos) << word << " in\n" << outcome.out;
  EXPECT_EQ(outcome.out.find("blocks.0"), std::string::npos) << outcome.out;
  const Outcome listed = run("info --tensors " + trained);
  EXPECT_EQ(listed.out.rfind("resnet: ", 0), 0u);
  EXPECT_GT(listed.out.find("ema/blocks.0"), listed.out.find("minibatch"));
  EXPECT_NE(listed.out.find("float32 [8,3]"), std::string::npos) << listed.out;
  EXPECT_TRUE(json_of("info " + trained)["tensors"].is_object());
}

TEST_F(Files, SaysItsVersion) {
  const Outcome outcome = run("--version");
  EXPECT_EQ(outcome.code, 0);
  const std::string version = json_of("info")["version"];
  EXPECT_EQ(outcome.out, "otnfm " + version + "\n");
}

// The picture of points has the target beside what was made, while the data can be read.
TEST_F(Files, DrawsTheTargetBesideTheSamples) {
  const std::string trained = model();
  const auto width = [&](const std::string& file) {
    const std::string bytes = read(file);
    return bytes.size() < 20 ? -1 : static_cast<unsigned char>(bytes[18]) * 256 + static_cast<unsigned char>(bytes[19]);
  };
  ASSERT_EQ(run("sample " + trained + " -n 50 --out " + path("x.png")).code, 0);
  EXPECT_EQ(width(path("x.png")), width(path("run/samples.png")));
  const std::string data = put("data.csv", "0,1\n1,0\n1,1\n0,0\n");
  const Outcome other = run("train --data " + data + " --coupling minibatch --batch 4 --steps 3 --config " +
                            path("small.json") + " --out " + path("other"));
  ASSERT_EQ(other.code, 0) << other.err;
  fs::rename(data, path("moved.csv"));
  const std::string lost = "sample " + path("other/model.safetensors") + " -n 50 --out " + path("y.png");
  const Outcome without = run(lost);
  EXPECT_EQ(without.code, 0);
  EXPECT_NE(without.err.find("data.csv"), std::string::npos) << without.err;
  EXPECT_LT(width(path("y.png")), width(path("x.png")));
  ASSERT_EQ(run(lost + " --data " + path("moved.csv")).code, 0);
  EXPECT_EQ(width(path("y.png")), width(path("x.png")));
}

}  // namespace
}  // namespace otnfm::test
