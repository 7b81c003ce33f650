#include "engine/io/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

InputFile::InputFile(const std::filesystem::path& path, std::int64_t max_bytes) : path_(path.string()) {
  // O_NONBLOCK: a named pipe without a writer would otherwise block here, before it can be refused.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail_input(path_, fmt::format("cannot be opened: {}", std::strerror(errno)));
  struct stat status {};
  std::string refusal;
  if (::fstat(descriptor_, &status) != 0)
    refusal = fmt::format("cannot be examined: {}", std::strerror(errno));
  else if (!S_ISREG(status.st_mode))
    refusal = S_ISDIR(status.st_mode) ? "is a folder, not a file" : "is not a regular file";
  else if (status.st_size > max_bytes)
    refusal = fmt::format("holds {} bytes, more than the limit of {}", status.st_size, max_bytes);
  if (!refusal.empty()) {
    ::close(descriptor_);
    fail_input(path_, refusal);
  }
  size_ = status.st_size;
}

InputFile::~InputFile() {
  ::close(descriptor_);
}

void InputFile::read(std::int64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw RunError(fmt::format("{}: cannot be read at byte {}: {}", path_, offset, std::strerror(errno)));
    if (count == 0) fail_input(path_, fmt::format("ends at byte {}, {} bytes too early", offset, out.size()));
    out = out.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

std::vector<std::byte> read_file(const std::filesystem::path& path, std::int64_t max_bytes) {
  const InputFile file(path, max_bytes);
  std::vector<std::byte> bytes = allocate_bytes(file.size(), file.path());
  file.read(0, bytes);
  return bytes;
}

std::vector<std::byte> allocate_bytes(std::int64_t bytes, const std::string& path) {
  try {
    return std::vector<std::byte>(static_cast<std::size_t>(bytes));
  } catch (const std::bad_alloc&) {
    throw RunError(fmt::format("{}: not enough memory for its {} bytes", path, bytes));
  }
}

}  // namespace otnfm
