// The working memory of a solver on the host: std::vector, except that where memory does not suffice the solver's
// caller is told how much was wanted and what for, in the same words as by Memory (kernels/memory.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "kernels/memory.h"

namespace otnfm {

/// Throws OutOfMemory, which knows the size, where std::allocator throws std::bad_alloc.
template <class T>
struct HostAllocator {
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  using value_type = T;

  HostAllocator() = default;
  template <class U>
  HostAllocator(const HostAllocator<U>&) {}

  T* allocate(std::size_t count) {
    void* const memory = ::operator new(count * sizeof(T), std::nothrow);
    if (memory == nullptr) throw OutOfMemory(count * sizeof(T));
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory); }

  friend bool operator==(const HostAllocator&, const HostAllocator&) { return true; }
};

template <class T>
using HostVector = std::vector<T, HostAllocator<T>>;

/// values.assign(count, value) of a vector that goes to the caller, hence a std::vector: throws OutOfMemory too.
template <class T>
void assign_result(std::vector<T>& values, std::int64_t count, T value) {
  const auto size = static_cast<std::size_t>(count);
  try {
    values.assign(size, value);
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(size * sizeof(T));
  }
}

/// values = found, likewise.
template <class T, class Values>
void assign_result(std::vector<T>& values, const Values& found) {
  try {
    values.assign(found.begin(), found.end());
  } catch (const std::bad_alloc&) {
    throw OutOfMemory(found.size() * sizeof(T));
  }
}

/// Returns work(). Where memory does not suffice for it, throws the RunError "out of memory on cpu: N bytes for " and
/// purpose(); without the number where it was a library that ran out of memory.
template <class Purpose, class Work>
decltype(auto) naming_memory(const Purpose& purpose, const Work& work) {
  try {
    return work();
  } catch (const OutOfMemory& error) {
    throw RunError("out of memory on cpu: " + std::to_string(error.bytes) + " bytes for " + purpose());
  } catch (const std::bad_alloc&) {
    throw RunError("out of memory on cpu for " + purpose());
  }
}

}  // namespace otnfm
