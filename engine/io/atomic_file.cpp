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

// An error that another path would avoid is the caller's.
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

// Where the links that `path` begins lead, be there a file yet or not.
std::string end_of_links(std::filesystem::path path) {
  constexpr int kMostLinks = 40;  // Linux's own limit
  std::error_code error;
  for (int links = 0; links < kMostLinks && std::filesystem::is_symlink(path, error); ++links) {
    const std::filesystem::path next = std::filesystem::read_symlink(path, error);
    if (error) break;
    path = path.parent_path() / next;  // `next` alone where it is absolute
  }
  return path.string();
}

// Replacing a file must not open it to others. Only root may give a file away, so another owner is kept where that can
// be; a mode that cannot be set is one of a file system without modes.
void keep_owner_and_mode(int descriptor, const struct stat& old) {
  const bool kept = ::fchown(descriptor, old.st_uid, old.st_gid) == 0 || ::fchown(descriptor, -1, old.st_gid) == 0;
  // Where the group could not be kept, the file has another one, which does not get the old group's rights.
  const mode_t mode = kept ? old.st_mode & 0777 : old.st_mode & 0707;
  if (::fchmod(descriptor, mode) != 0) return;
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path.string()) {
  if (path_.empty()) throw InputError("cannot write to a file with an empty name");
  struct stat old {};
  const bool exists = ::stat(path_.c_str(), &old) == 0;
  if (!exists && errno != ENOENT) fail("cannot be written", errno);
  if (exists && S_ISDIR(old.st_mode)) fail("cannot be written", EISDIR);
  if (exists && !S_ISREG(old.st_mode)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail("cannot be written", errno);
    return;
  }
  target_ = end_of_links(path);
  const std::filesystem::path folder = std::filesystem::path(target_).parent_path();
  // Nobody may read of the new file what the old one would not have shown. A left-over of a killed process with our
  // number may hold the name; the next one is free.
  const mode_t mode = exists ? old.st_mode & 0777 : 0666;
  do {
    temporary_ = (folder / temporary_name()).string();
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  } while (descriptor_ < 0 && (errno == EEXIST || errno == EINTR));
  if (descriptor_ < 0) {
    const int error = errno;
    temporary_.clear();
    fail("cannot be created in its folder", error);
  }
  if (exists) keep_owner_and_mode(descriptor_, old);
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
  const std::string link = target_.empty() || target_ == path_ ? "" : fmt::format(" (a link to {})", target_);
  const std::string message = fmt::format("{}{}: {}: {}", path_, link, what, std::strerror(error));
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

void check_writable(const std::filesystem::path& path) {
  struct stat status {};
  const bool is_device = ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
  if (!is_device) {
    const AtomicFile file(path);
    return;
  }
  if (::access(path.c_str(), W_OK) != 0)
    throw InputError(fmt::format("{}: cannot be written: {}", path.string(), std::strerror(errno)));
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
