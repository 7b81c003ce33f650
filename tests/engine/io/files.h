// What the tests of files share: a folder that goes away, files from bytes, and damage.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/error.h"

namespace otnfm::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "otnfm-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw RunError("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

/// Written by the standard library, not by the code under test. Removed before: ext4 flushes a file that is truncated
/// and written anew to the disk, and thousands of those take a minute.
inline void put(const std::filesystem::path& path, std::string_view bytes) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string get(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// `value`, least significant byte first.
inline std::string little_endian(std::uint64_t value, int bytes) {
  std::string result;
  for (; bytes-- > 0; value >>= 8) result += static_cast<char>(value);
  return result;
}

inline std::string big_endian(std::uint64_t value, int bytes) {
  std::string result;
  for (int i = bytes; i-- > 0;) result += static_cast<char>(value >> (8 * i));
  return result;
}

/// The message of the InputError that `act` throws; a test failure where it throws none, or another.
inline std::string input_error(const std::function<void()>& act) {
  try {
    act();
  } catch (const InputError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "threw another exception: " << error.what();
    return {};
  }
  ADD_FAILURE() << "threw nothing";
  return {};
}

/// The error names the path and contains `words`.
inline void expect_input_error(const std::filesystem::path& path, std::string_view words,
                               const std::function<void()>& act) {
  const std::string message = input_error(act);
  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  EXPECT_NE(message.find(words), std::string::npos) << message << "\n  lacks: " << words;
}

/// Every shorter version of `bytes` must be refused by `load` with an InputError that names the path.
inline void expect_truncations_refused(const std::string& bytes, const std::filesystem::path& path,
                                       const std::function<void(const std::filesystem::path&)>& load) {
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    put(path, std::string_view(bytes).substr(0, length));
    SCOPED_TRACE("cut to " + std::to_string(length) + " of " + std::to_string(bytes.size()) + " bytes");
    expect_input_error(path, "", [&] { load(path); });
    if (::testing::Test::HasFailure()) return;
  }
}

/// `rounds` versions with one to four bits or bytes changed: each must load or throw InputError. Returns how many were
/// refused.
inline int survive_damage(const std::string& bytes, const std::filesystem::path& path, int rounds,
                          const std::function<void(const std::filesystem::path&)>& load) {
  std::mt19937 random(12345);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string damaged = bytes;
    for (std::uint32_t change = random() % 4 + 1; change-- > 0;) {
      char& c = damaged[random() % damaged.size()];
      c = static_cast<char>(random() % 2 ? c ^ (1 << random() % 8) : static_cast<int>(random() % 256));
    }
    put(path, damaged);
    try {
      load(path);
    } catch (const InputError& error) {
      ++refused;
      EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    }
  }
  return refused;
}

/// The folder of real data sets: OTNFM_TEST_DATA, else ../shared/data beside the sources.
inline std::filesystem::path data_folder() {
  if (const char* folder = std::getenv("OTNFM_TEST_DATA")) return folder;
  return std::filesystem::path(__FILE__).parent_path() / "../../../../shared/data";
}

}  // namespace otnfm::testing
