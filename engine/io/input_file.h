// A file that is read: its size is known before anything is allocated, and a read past its end is an error, not a short
// answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace otnfm {

/// The most that is read of one file unless a caller says otherwise: 64 GiB.
inline constexpr std::int64_t kMaxFileBytes = std::int64_t{64} << 30;

class InputFile {
 public:
  /// InputError where `path` cannot be opened, is not a regular file, or holds more than `max_bytes`.
  explicit InputFile(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  std::int64_t size() const { return size_; }

  /// Fills `out` from the file's bytes [offset, offset + out.size()). InputError where the file ends before; RunError
  /// where the disk fails.
  void read(std::int64_t offset, std::span<std::byte> out) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

/// The whole of a file.
std::vector<std::byte> read_file(const std::filesystem::path& path, std::int64_t max_bytes = kMaxFileBytes);

/// A vector of `bytes` zeros; RunError that names `path` where memory does not suffice.
std::vector<std::byte> allocate_bytes(std::int64_t bytes, const std::string& path);

}  // namespace otnfm
