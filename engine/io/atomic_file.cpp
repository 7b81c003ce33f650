#include "engine/io/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

// What another path would mend is the caller's error.
bool is_callers(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case ENAMETOOLONG:
      return true;
    default:
      return false;
  }
}

// The process and a counter: two writers of one folder never share a temporary name, and a left-over tells whose it
// was.
std::string temporary_name() {
  static std::atomic<unsigned> counter{0};
  return fmt::format(".otnfm-{}-{}.tmp", ::getpid(), counter.fetch_add(1));
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path.string()), target_(path_) {
  if (path_.empty()) throw InputError("cannot write to a file with an empty name");
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail("cannot be written", EISDIR);
    if (!S_ISREG(status.st_mode)) {
      descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
      if (descriptor_ < 0) fail("cannot be written", errno);
      return;
    }
    std::error_code ignored;
    const std::filesystem::path real = std::filesystem::canonical(path, ignored);
    if (!real.empty()) target_ = real.string();
  }
  const std::filesystem::path folder = std::filesystem::path(target_).parent_path();
  // A left-over of a killed process with our number may hold the name; the next one is free.
  do {
    temporary_ = (folder / temporary_name()).string();
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor_ < 0) {
    const int error = errno;
    temporary_.clear();
    fail("cannot be created in its folder", error);
  }
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::fail(const char* what, int error) const {
  const std::string message = fmt::format("{}: {}: {}", path_, what, std::strerror(error));
  if (is_callers(error)) throw InputError(message);
  throw RunError(message);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) throw RunError(path_ + ": written to after it was closed");
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail("cannot be written", count < 0 ? errno : EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) throw RunError(path_ + ": committed after it was closed");
  const bool direct = temporary_.empty();
  if (!direct && ::fsync(descriptor_) != 0) fail("cannot be flushed to the disk", errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0 && errno != EINTR) fail("cannot be closed", errno);
  if (direct) return;
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be renamed into place", errno);
  temporary_.clear();

  // The rename itself lives in the folder: without this a power cut may undo it. The file is whole either way, so that
  // a file system which cannot flush folders is no error.
  std::string folder = std::filesystem::path(target_).parent_path().string();
  const int folder_descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor < 0) return;
  ::fsync(folder_descriptor);
  ::close(folder_descriptor);
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span(text)));
}

}  // namespace otnfm
