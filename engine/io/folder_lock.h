// One program at a time writes to a folder. The lock is the kernel's, on the file run.lock inside: it ends with the
// process, however that ends, so none is ever stale; the file stays, with the number of the process that held it last.
#pragma once

#include <filesystem>

namespace otnfm {

class FolderLock {
 public:
  /// InputError where another process holds the lock (it is named), or where the folder cannot be written to. A file
  /// system without locks grants it.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace otnfm
