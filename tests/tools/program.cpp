// The program as a person or a script meets it: exit codes, one line on stderr, JSON alone on stdout, kill and resume.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

namespace {

namespace fs = std::filesystem;

/// The otnfm beside this test, wherever both were copied to; else the one that was built with it.
std::string program() {
  std::error_code error;
  const fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path() / "otnfm";
  return !error && fs::exists(beside) ? beside.string() : OTNFM_PROGRAM;
}

struct Outcome {
  int code;
  std::string out, err;
};

class Program : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "otnfm-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  Outcome run(const std::string& arguments) const {
    const std::string command = program() + " " + arguments + " >" + path("stdout") + " 2>" + path("stderr");
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read(path("stdout")), read(path("stderr"))};
  }

  std::string small_run(const std::string& out, const std::string& more = "") const {
    return "train --data moons --source 8gaussians --coupling minibatch --batch 32 --config " + config() + " --out " +
           path(out) + " " + more;
  }

  std::string config() const {
    std::ofstream(path("small.json")) << R"({"flow": {"blocks": 1, "width": 8, "depth": 1}})";
    return path("small.json");
  }

  fs::path folder_;
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
  for (const char* key : {"w2", "w2_std", "w2_floor", "w2_floor_std", "w2_ratio", "collapse_rho", "sliced_w2", "mmd",
                          "nfe", "samples_per_second"})
    EXPECT_TRUE(result[key].is_number()) << key;
  EXPECT_EQ(result["nfe"], 1);
  EXPECT_EQ(run("eval " + model).code, 0);
  EXPECT_EQ(run("info " + model).code, 0);
  EXPECT_EQ(nlohmann::json::parse(run("info --json").out).contains("devices"), true);
}

TEST_F(Program, PairsACloudWithAShiftedCopyOfItself) {
  // Written by hand: .npy version 1, float32 [3, 1].
  const auto write = [&](const std::string& name, std::array<float, 3> values) {
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1), }";
    header.resize(117, ' ');
    header += '\n';
    std::ofstream file(path(name), std::ios::binary);
    file << "\x93NUMPY" << '\1' << '\0' << static_cast<char>(header.size()) << '\0' << header;
    file.write(reinterpret_cast<const char*>(values.data()), sizeof(values));
  };
  write("a.npy", {0, 10, 20});
  write("b.npy", {21, 1, 11});
  const Outcome outcome = run("couple --source " + path("a.npy") + " --target " + path("b.npy") + " --out " +
                              path("sigma.npy") + " --json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json result = nlohmann::json::parse(outcome.out);
  EXPECT_DOUBLE_EQ(result["primal_cost"].get<double>(), 1.0);
  EXPECT_LE(result["gap"].get<double>(), 1e-9);
  EXPECT_EQ(result["is_permutation"], true);
  for (const char* key :
       {"n", "m", "d", "solver", "regime", "dual_bound", "marginal_error", "iterations", "seconds", "device", "status"})
    EXPECT_TRUE(result.contains(key)) << key;
  const std::string sigma = read(path("sigma.npy"));
  std::array<std::int64_t, 3> columns;
  std::memcpy(columns.data(), sigma.data() + sigma.size() - sizeof(columns), sizeof(columns));
  EXPECT_EQ(columns, (std::array<std::int64_t, 3>{1, 2, 0}));
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
      {"couple --json", "--source"},
      {"couple --cost " + path("text.npy"), "text.npy"},
      {"couple --lap " + path("text.npy"), "text.npy"},
  };
  for (const auto& [arguments, word] : cases) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments << "\n" << outcome.err;
    EXPECT_EQ(outcome.err.rfind("otnfm: error: ", 0), 0u) << arguments << "\n" << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(word), std::string::npos) << arguments << "\n" << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
  }
  EXPECT_FALSE(fs::exists(folder_ / "x" / "model.safetensors"));
}

TEST_F(Program, HelpIsNotAnError) {
  for (const char* command : {"", "train", "sample", "eval", "couple", "info"}) {
    const Outcome outcome = run(std::string(command) + " --help");
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.out.find("--help"), std::string::npos);
  }
}

/// Starts the program, waits until `ready` holds, sends the signal and returns the wait status.
template <class Ready>
int run_until(const std::string& arguments, int signal_number, const Ready& ready) {
  const pid_t child = fork();
  if (child == 0) {
    const std::string command = "exec " + program() + " " + arguments + " >/dev/null 2>&1";
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  for (int k = 0; k < 60000 && !ready(); ++k) {
    if (waitpid(child, &status, WNOHANG) == child) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, signal_number);
  waitpid(child, &status, 0);
  return status;
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

TEST_F(Program, SavesAndEndsCleanlyWhenInterrupted) {
  const int status = run_until(small_run("run", "--steps 1000000 --checkpoint-every 20"), SIGINT,
                               [&] { return fs::exists(folder_ / "run" / "model.safetensors"); });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(run("info " + path("run/model.safetensors")).code, 0);
}

}  // namespace
