// The program in a folder of its own, run as a script would run it.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace otnfm::test {

namespace fs = std::filesystem;

/// The otnfm beside this test, wherever both were copied to; else the one that was built with it.
inline std::string program() {
  std::error_code error;
  const fs::path beside = fs::read_symlink("/proc/self/exe", error).parent_path() / "otnfm";
  return !error && fs::exists(beside) ? beside.string() : OTNFM_PROGRAM;
}

struct Outcome {
  int code;
  std::string out, err;
};

/// Starts the program, waits until `ready` holds, sends the signal and returns the wait status.
template <class Ready>
inline int run_until(const std::string& arguments, int signal_number, const Ready& ready) {
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

class ProgramTest : public testing::Test {
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

  /// The program must refuse with exit code 2, one line on stderr that has `word`, and nothing on stdout.
  void expect_refused(const std::string& arguments, const std::string& word) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments << "\n" << outcome.err;
    EXPECT_EQ(outcome.err.rfind("otnfm: error: ", 0), 0u) << arguments << "\n" << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(word), std::string::npos) << arguments << "\n" << outcome.err;
    EXPECT_EQ(outcome.out, "") << arguments;
  }

  /// A float32 .npy file, format version 1, written by hand.
  std::string write_npy(const std::string& name, const std::vector<std::int64_t>& shape,
                        std::span<const float> values) const {
    std::string sizes;
    for (std::int64_t size : shape) sizes += std::to_string(size) + ", ";
    std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + sizes + "), }";
    header.resize(117, ' ');
    header += '\n';
    std::ofstream file(path(name), std::ios::binary);
    file << "\x93NUMPY" << '\1' << '\0' << static_cast<char>(header.size()) << '\0' << header;
    file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
    return path(name);
  }

  fs::path folder_;
};

}  // namespace otnfm::test
