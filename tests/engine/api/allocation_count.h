// Counts the allocations of a thread: operator new, malloc and their relatives, whoever calls them, libraries included.
#pragma once

#include <cstdint>

namespace otnfm::test {

/// Allocations that this thread makes while one lives.
class AllocationCount {
 public:
  AllocationCount();
  ~AllocationCount();
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;
  std::int64_t count() const;
};

}  // namespace otnfm::test
