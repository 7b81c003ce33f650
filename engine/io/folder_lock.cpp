#include "engine/io/folder_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "kernels/error.h"

namespace otnfm {

FolderLock::FolderLock(const std::filesystem::path& folder) {
  const std::string path = (folder / "run.lock").string();
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    throw InputError(fmt::format("{}: cannot be written to: {}", folder.string(), std::strerror(errno)));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    char holder[32] = {};
    if (::pread(descriptor_, holder, sizeof(holder) - 1, 0) <= 0) std::strcpy(holder, "unknown");
    ::close(descriptor_);
    throw InputError(fmt::format("{}: another run writes to this folder (process {})", folder.string(), holder));
  }
  // Only for whoever reads it: where it cannot be written, the lock holds all the same.
  const std::string process = std::to_string(::getpid());
  if (::ftruncate(descriptor_, 0) == 0 && ::pwrite(descriptor_, process.data(), process.size(), 0) < 0) return;
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

}  // namespace otnfm
