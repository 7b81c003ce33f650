// The program as a person or a script meets it: exit codes, one line on stderr, JSON alone on stdout, kill and resume.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/tools/program_fixture.h"

namespace otnfm::test {
namespace {

class Program : public ProgramTest {
 protected:
  std::string small_run(const std::string& out, const std::string& more = "") const {
    return "train --data moons --source 8gaussians --coupling minibatch --batch 32 --config " + config() + " --out " +
           path(out) + " " + more;
  }

  std::string config() const {
    std::ofstream(path("small.json")) << R"({"flow": {"blocks": 1, "width": 8, "depth": 1}})";
    return path("small.json");
  }
};

TEST_F(Program, TrainsSamplesAndEvaluates) {
  const Outcome train = run(small_run("run", "--json --log-every 20 --steps 60"));
  ASSERT_EQ(train.code, 0) << train.err;
  const nlohmann::json summary = nlohmann::json::parse(train.out);
  EXPECT_EQ(summary["steps_done"], 60);
  EXPECT_EQ(summary["finished"], true);
  for (const char* file : {"model.safetensors", "state.safetensors", "metrics.jsonl", "samples.png"})
    EXPECT_TRUE(fs::exists(folder_ / "run" / file)) << file;
  std::ifstream metrics(folder_ / "run" / "metrics.jsonl");
  int lines = 0;
  for (std::string line; std::getline(metrics, line); ++lines) {
    const nlohmann::json object = nlohmann::json::parse(line);
    for (const char* key :
         {"step", "loss", "grad_norm", "lr", "coupling_seconds", "step_seconds", "conditional_variance"})
      EXPECT_TRUE(object.contains(key)) << key;
  }
  EXPECT_EQ(lines, 3);

  const std::string model = path("run/model.safetensors");
  EXPECT_EQ(run("sample " + model + " -n 33 --out " + path("a.npy")).code, 0);
  EXPECT_EQ(run("sample " + model + " -n 33 --out " + path("b.npy")).code, 0);
  EXPECT_EQ(read(path("a.npy")), read(path("b.npy")));
  EXPECT_EQ(run("sample " + model + " -n 33 --seed 1 --out " + path("c.npy")).code, 0);
  EXPECT_NE(read(path("a.npy")), read(path("c.npy")));
  EXPECT_EQ(run("sample " + model + " -n 33 --out " + path("a.png")).code, 0);
  EXPECT_EQ(run("sample " + model + " -n 0 --out " + path("none.npy")).code, 0);

  const Outcome eval = run("eval " + model + " --data moons -n 128 --repeats 2 --json");
  ASSERT_EQ(eval.code, 0) << eval.err;
  const nlohmann::json result = nlohmann::json::parse(eval.out);
  for (const char* key : {"w2_ratio", "collapse_rho", "sliced_w2", "mmd", "nfe", "samples_per_second"})
    EXPECT_TRUE(result[key].is_number()) << key;
  for (const std::string key : {"w2", "frechet", "precision", "recall"})
    for (const std::string part : {"", "_std", "_floor", "_floor_std"})
      EXPECT_TRUE(result[key + part].is_number()) << key << part;
  EXPECT_EQ(result["nfe"], 1);
  EXPECT_EQ(result["precision_recall_n"], 128);
  EXPECT_EQ(run("eval " + model).code, 0);
  EXPECT_EQ(run("info " + model).code, 0);
  EXPECT_EQ(nlohmann::json::parse(run("info --json").out).contains("devices"), true);
}

TEST_F(Program, SaysInOneLineWhatIsWrong) {
  std::ofstream(path("bad.json")) << "{\"stepz\": 3}";
  std::ofstream(path("no.json")) << "nothing";
  std::ofstream(path("text.npy")) << "not an array";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "subcommand"},
      {"fly", "fly"},
      {"train --out " + path("x"), "--data"},
      {"train --data moons", "--out"},
      {"train --data nowhere --out " + path("x"), "nowhere"},
      {"train --data moons --coupling perfect --out " + path("x"), "perfect"},
      {"train --data moons --flow perfect --out " + path("x"), "perfect"},
      {"train --data moons --steps many --out " + path("x"), "--steps"},
      {"train --data moons --steps -4 --out " + path("x"), "steps"},
      {"train --data moons --batch 0 --out " + path("x"), "batch"},
      {"train --data moons --config " + path("bad.json") + " --out " + path("x"), "stepz"},
      {"train --data moons --config " + path("no.json") + " --out " + path("x"), "no.json"},
      {"train --data " + path("text.npy") + " --out " + path("x"), "text.npy"},
      {"train --data mnist:/nonexistent --out " + path("x"), "nonexistent"},
      {"train --resume --out " + path("never"), "never"},
      {"train --data moons --out /proc/nothing/here", "/proc/nothing/here"},
      {"sample " + path("text.npy") + " -n 3 --out " + path("s.npy"), "text.npy"},
      {"sample " + path("none.safetensors") + " -n 3 --out " + path("s.npy"), "none.safetensors"},
      {"sample " + path("none.safetensors") + " -n 3 --out " + path("s.bmp"), "s.bmp"},
      {"eval " + path("none.safetensors"), "none.safetensors"},
  };
  for (const auto& [arguments, word] : cases) expect_refused(arguments, word);
  EXPECT_FALSE(fs::exists(folder_ / "x" / "model.safetensors"));
}

TEST_F(Program, HelpIsNotAnError) {
  for (const char* command : {"", "train", "sample", "eval", "couple", "invert", "map", "info"}) {
    const Outcome outcome = run(std::string(command) + " --help");
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.out.find("--help"), std::string::npos);
  }
}

TEST_F(Program, TakesAsManyThreadsAsItIsTold) {
  const Outcome trained = run(small_run("three", "--device cpu --steps 20 --threads 3"));
  EXPECT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE((trained.out + trained.err).find(", 3 threads"), std::string::npos) << trained.out << trained.err;
  const std::string model = path("three/model.safetensors");
  for (const char* threads : {"1", "3", "0"})
    EXPECT_EQ(run("sample " + model + " -n 5000 --threads " + threads + " --out " + path(threads) + ".npy").code, 0);
  EXPECT_EQ(read(path("1.npy")), read(path("3.npy")));
  EXPECT_EQ(read(path("1.npy")), read(path("0.npy")));
  for (const char* command : {"train", "sample", "eval", "couple", "invert", "map"})
    for (const char* wrong : {"-1", "100000", "two"})
      expect_refused(std::string(command) + " --threads " + wrong, "--threads");
}

TEST_F(Program, GoesOnBitForBitAfterAKill) {
  const std::string common = "--log-every 20 --checkpoint-every 20";
  ASSERT_EQ(run(small_run("whole", common + " --steps 200")).code, 0);
  const int status = run_until(small_run("killed", common + " --steps 200"), SIGKILL,
                               [&] { return fs::exists(folder_ / "killed" / "model.safetensors"); });
  ASSERT_TRUE(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
  const Outcome refused = run("train --resume --steps 300 --out " + path("killed"));
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("steps"), std::string::npos) << refused.err;
  ASSERT_EQ(run("train --resume " + common + " --out " + path("killed")).code, 0);
  EXPECT_EQ(read(folder_ / "whole" / "state.safetensors"), read(folder_ / "killed" / "state.safetensors"));
  EXPECT_EQ(read(folder_ / "whole" / "model.safetensors"), read(folder_ / "killed" / "model.safetensors"));
}

TEST_F(Program, EndsAtOnceWhenInterruptedWhileItsCouplingIsPrepared) {
  for (const char* coupling : {"global", "semidiscrete"}) {
    const std::string out = path(coupling);
    const auto began = std::chrono::steady_clock::now();
    const int status =
        run_until("train --data 8gaussians --coupling " + std::string(coupling) + " --bank 100000 --out " + out, SIGINT,
                  [&] { return fs::exists(fs::path(out) / "metrics.jsonl"); });
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(60));  // the solve takes minutes
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 130);
    EXPECT_FALSE(fs::exists(fs::path(out) / "model.safetensors"));
  }
}

TEST_F(Program, SavesAndEndsCleanlyWhenInterrupted) {
  const int status = run_until(small_run("run", "--steps 1000000 --checkpoint-every 20"), SIGINT,
                               [&] { return fs::exists(folder_ / "run" / "model.safetensors"); });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_EQ(run("info " + path("run/model.safetensors")).code, 0);
}

}  // namespace
}  // namespace otnfm::test
