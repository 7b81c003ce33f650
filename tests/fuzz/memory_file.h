// The readers take paths: the fuzzer's bytes as a file in memory that one of them can open.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "kernels/error.h"

namespace otnfm::fuzz {

class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* bytes, std::size_t count) : descriptor_(memfd_create("fuzz", 0)) {
    if (descriptor_ < 0 || write(descriptor_, bytes, count) != static_cast<ssize_t>(count)) std::abort();
    path_ = "/proc/self/fd/" + std::to_string(descriptor_);
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

/// Reads the bytes as a file. An InputError is right; anything else that is thrown ends the fuzzer.
template <class Read>
int read_as_file(const std::uint8_t* bytes, std::size_t count, const Read& read) {
  const MemoryFile file(bytes, count);
  try {
    read(file.path());
  } catch (const InputError&) {
  }
  return 0;
}

}  // namespace otnfm::fuzz
