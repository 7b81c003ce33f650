// What can go wrong around a run: each time one clear line, and nothing lost.
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <random>

#include "tests/tools/program_fixture.h"

namespace otnfm::test {
namespace {

class Faults : public ProgramTest {
 protected:
  std::string small_run(const std::string& out, const std::string& more = "") const {
    std::ofstream(path("small.json")) << R"({"flow": {"blocks": 1, "width": 8, "depth": 1}})";
    return "train --device cpu --data moons --coupling minibatch --batch 32 --config " + path("small.json") +
           " --log-every 20 --out " + path(out) + " " + more;
  }

  void expect_same_run(const std::string& a, const std::string& b) const {
    for (const char* file : {"state.safetensors", "model.safetensors"})
      EXPECT_TRUE(read(folder_ / a / file) == read(folder_ / b / file)) << file << " differs";
  }

  /// Exit code `code` and one line on stderr that has `word`.
  void expect_one_line(const Outcome& outcome, int code, const std::string& word) const {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(outcome.err.rfind("otnfm: error: ", 0), 0u) << outcome.err;
    EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err;
  }
};

// OTNFM_KILLS=100 for the long form.
TEST_F(Faults, AKillAtAnyMomentLosesNothingThatWasSaved) {
  const char* wanted = std::getenv("OTNFM_KILLS");
#ifdef OTNFM_PROGRAM_SANITIZED
  const int few = 4, longest = 3000;  // milliseconds: a start alone takes a good part of a second
#else
  const int few = 12, longest = 250;
#endif
  const int kills = wanted ? std::atoi(wanted) : few;
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string common = "--checkpoint-every 3";
  ASSERT_EQ(run(small_run("whole", common + " --steps 400")).code, 0);
  int done = 0;
  for (int round = 0; done < kills; ++round) {
    const std::string out = "killed" + std::to_string(round);
    bool finished = false;
    while (!finished && done < kills) {
      const bool started = fs::exists(folder_ / out / "state.safetensors");
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(random() % longest);
      const int status = run_until(started ? "train --device cpu --resume " + common + " --out " + path(out)
                                           : small_run(out, common + " --steps 400"),
                                   SIGKILL, [&] { return std::chrono::steady_clock::now() >= end; });
      if (WIFSIGNALED(status)) ++done;
      if (WIFEXITED(status)) {
        ASSERT_EQ(WEXITSTATUS(status), 0) << "it did not go on from what the kill had left";
        finished = true;
      }
    }
    if (!finished) {
      const bool started = fs::exists(folder_ / out / "state.safetensors");
      const Outcome rest = run(started ? "train --device cpu --resume " + common + " --out " + path(out)
                                       : small_run(out, common + " --steps 400"));
      ASSERT_EQ(rest.code, 0) << rest.err;
    }
    expect_same_run("whole", out);
    fs::remove_all(folder_ / out);
  }
}

TEST_F(Faults, ASecondRunIsKeptOutOfAFolder) {
  const std::string endless = small_run("run", "--steps 1000000 --checkpoint-every 20");
  bool looked = false;
  const int status = run_until(endless, SIGKILL, [&] {
    if (!fs::exists(folder_ / "run" / "model.safetensors")) return false;
    expect_refused(endless, "another run");
    expect_refused("train --device cpu --resume --out " + path("run"), "another run");
    looked = true;
    return true;
  });
  ASSERT_TRUE(looked && WIFSIGNALED(status));
  // The lock of the run that was killed holds nobody up.
  EXPECT_EQ(run("train --device cpu --resume --max-seconds 0.1 --out " + path("run")).code, 0);
}

TEST_F(Faults, TerminatedARunSavesAndEnds) {
  const int status = run_until(small_run("run", "--steps 1000000 --checkpoint-every 20"), SIGTERM,
                               [&] { return fs::exists(folder_ / "run" / "model.safetensors"); });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(run("train --device cpu --resume --max-seconds 0.1 --out " + path("run")).code, 0);
}

TEST_F(Faults, AFullDiskKeepsTheLastState) {
  ASSERT_EQ(run(small_run("whole", "--steps 60")).code, 0);
  // A limit on the size of files stands for a full disk: a write fails, at some byte. In blocks of 512 bytes.
  for (const int blocks : {0, 1, 3, 7}) {
    const std::string out = "full" + std::to_string(blocks);
    const int stopped = run_until(small_run(out, "--steps 60 --checkpoint-every 20"), SIGINT,
                                  [&] { return fs::exists(folder_ / out / "model.safetensors"); });
    ASSERT_TRUE(WIFEXITED(stopped));
    const std::string command = "sh -c 'trap \"\" XFSZ; ulimit -f " + std::to_string(blocks) + "; exec " + program() +
                                " train --device cpu --resume --out " + path(out) + " 2>&1 >/dev/null' | tail -n 1 > " +
                                path("said");
    ASSERT_EQ(std::system(command.c_str()), 0);
    const std::string said = read(path("said"));
    if (said.find("error") != std::string::npos) {
      EXPECT_EQ(said.rfind("otnfm: error: ", 0), 0u) << said;
      EXPECT_NE(said.find(out), std::string::npos) << "the file is not named: " << said;
    }
    // A whole state is there, an older or a newer one: it goes on to the end of the undisturbed run.
    ASSERT_EQ(run("train --device cpu --resume --out " + path(out)).code, 0);
    expect_same_run("whole", out);
  }
  ASSERT_EQ(symlink("/dev/full", path("full.npy").c_str()), 0);
  expect_one_line(run("sample " + path("whole/model.safetensors") + " -n 9 --out " + path("full.npy")), 1, "full");
}

TEST_F(Faults, AFolderThatCannotBeWrittenToIsNamed) {
  expect_refused("train --data moons --coupling independent --out /proc/self", "/proc/self");
}

TEST_F(Faults, ATruncatedFileIsRefused) {
  ASSERT_EQ(run(small_run("run", "--steps 20")).code, 0);
  std::mt19937_64 random(std::random_device{}());
  for (const char* name : {"model.safetensors", "state.safetensors"}) {
    const fs::path file = folder_ / "run" / name;
    const std::string whole = read(file);
    for (int round = 0; round < 5; ++round) {
      const std::string part = whole.substr(0, random() % whole.size());
      std::ofstream(file, std::ios::binary | std::ios::trunc) << part;
      if (std::string(name) == "model.safetensors")
        expect_refused("sample " + file.string() + " -n 1 --out " + path("x.npy"), name);
      else
        expect_refused("train --device cpu --resume --out " + path("run"), name);
    }
    std::ofstream(file, std::ios::binary | std::ios::trunc) << whole;
  }
  EXPECT_EQ(run("train --device cpu --resume --out " + path("run")).code, 0);
}

TEST_F(Faults, NumbersThatAreNoneAreNamed) {
  std::vector<float> values(12, 1.0f);
  values[7] = std::numeric_limits<float>::quiet_NaN();
  const std::string data = write_npy("nan.npy", {6, 2}, values);
  expect_refused("train --data " + data + " --coupling independent --out " + path("run"), "row 3, column 1");
  expect_refused("couple --source " + data + " --target " + data + " --solver exact", "source holds nan at [3, 1]");
}

TEST_F(Faults, AGpuThatGoesAwayEndsTheRunAndItsStateStays) {
#ifndef OTNFM_PROGRAM_SIMT
  GTEST_SKIP() << "needs the simt build, whose GPU can be lost";
#endif
  const auto on_cuda = [](std::string arguments) { return arguments.replace(arguments.find("cpu"), 3, "cuda"); };
  const std::string more = " --steps 12 --checkpoint-every 2";
  ASSERT_EQ(run(on_cuda(small_run("whole", more))).code, 0);
  bool lost = true, state_stayed = false;
  for (long after = 20; lost; after *= 2) {
    const std::string out = "lost" + std::to_string(after);
    ASSERT_EQ(setenv("OTNFM_SIMT_LOST_AFTER", std::to_string(after).c_str(), 1), 0);
    const Outcome outcome = run(on_cuda(small_run(out, more)));
    unsetenv("OTNFM_SIMT_LOST_AFTER");
    lost = outcome.code != 0;
    if (lost) {
      EXPECT_EQ(outcome.code, 1) << outcome.err;
      EXPECT_NE(("\n" + outcome.err).find("\notnfm: error: CUDA failed while "), std::string::npos) << outcome.err;
    }
    const bool has_state = fs::exists(folder_ / out / "state.safetensors");
    state_stayed |= lost && has_state;
    ASSERT_EQ(run(on_cuda(has_state ? "train --device cpu --resume --checkpoint-every 2 --out " + path(out)
                                    : small_run(out, more)))
                  .code,
              0);
    expect_same_run("whole", out);
  }
  EXPECT_TRUE(state_stayed) << "the GPU was never lost between a checkpoint and the end";
}

TEST_F(Faults, MemoryThatIsNotThereIsCounted) {
#ifdef OTNFM_PROGRAM_SANITIZED
  GTEST_SKIP() << "a sanitizer needs all addresses";
#endif
  ASSERT_EQ(run(small_run("run", "--steps 1")).code, 0);
  const auto said = [&](int kilobytes, const std::string& arguments) {
    const std::string command = "sh -c 'ulimit -v " + std::to_string(kilobytes) + "; exec " + program() + " " +
                                arguments + "' 2>&1 >/dev/null | tail -n 1 > " + path("said");
    EXPECT_EQ(std::system(command.c_str()), 0);
    return read(path("said"));
  };
  EXPECT_EQ(said(4000000, "sample " + path("run/model.safetensors") + " -n 1000000000 --out " + path("x.npy")),
            "otnfm: error: out of memory: 16000000000 bytes for 1000000000 samples of 2 numbers and their noise\n");

  const std::string clouds = path("cloud.npy");
  write_npy("cloud.npy", {20000, 2}, std::vector<float>(40000, 1.0f));
  EXPECT_EQ(said(1000000, "couple --solver exact --regime dense --source " + clouds + " --target " + clouds),
            "otnfm: error: out of memory on cpu: 3200000000 bytes for the exact assignment of 20000 x 20000 float32 "
            "points, d = 2, squared_euclidean\n");

  // A run that was saved stays as it was, and goes on where memory suffices.
  const int stopped = run_until(small_run("kept", "--steps 1000000 --checkpoint-every 20"), SIGINT,
                                [&] { return fs::exists(folder_ / "kept" / "model.safetensors"); });
  ASSERT_TRUE(WIFEXITED(stopped));
  const std::string state = read(folder_ / "kept" / "state.safetensors");
  const std::string resume = "train --device cpu --resume --max-seconds 0.1 --out " + path("kept");
  const std::string line = said(100000, resume);
  EXPECT_EQ(line.rfind("otnfm: error: out of memory", 0), 0u) << line;
  EXPECT_NE(line.find(" bytes for "), std::string::npos) << line;
  EXPECT_TRUE(state == read(folder_ / "kept" / "state.safetensors"));
  EXPECT_EQ(run(resume).code, 0);
}

}  // namespace
}  // namespace otnfm::test
