// Files that are either there whole or not at all: written under a temporary name in the same folder, flushed to the
// disk, then renamed over the target. Whoever reads the target, and whatever kills the program, sees the old file or
// the new one. Every file that the program writes is written so, but for metrics.jsonl, to which a run appends
// line by line.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace otnfm {

class AtomicFile {
 public:
  /// Opens the temporary file. A link is followed, so that what it points to is replaced, or made where it is not there
  /// yet; a device or a pipe (/dev/stdout) is written to directly. A file that is replaced keeps its mode, a new one
  /// has that of the umask. InputError that names `path` where the folder is missing or may not be written to, where
  /// `path` is a folder, or where its links go round; RunError otherwise.
  explicit AtomicFile(const std::filesystem::path& path);
  /// Without commit(): removes the temporary file and leaves the target as it was.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// RunError that names the path where the disk is full or fails.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// Makes the file appear. Once, after the last write.
  void commit();

 private:
  [[noreturn]] void fail(const char* what, int error) const;
  void discard() noexcept;

  std::string path_;       ///< as the caller named it
  std::string target_;     ///< what is replaced: the end of its links
  std::string temporary_;  ///< empty for a device
  int descriptor_ = -1;
};

/// Throws what AtomicFile(path) would, and leaves nothing behind: for long work to ask before it begins. A device or a
/// pipe is not opened.
void check_writable(const std::filesystem::path& path);

/// AtomicFile with one write.
void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file(const std::filesystem::path& path, std::string_view text);

}  // namespace otnfm
