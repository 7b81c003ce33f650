#include "tests/ot/refused_allocations.h"

#include <cstdlib>
#include <new>

namespace otnfm::test {

std::atomic<std::int64_t> until_refused{-1};
std::atomic<std::size_t> refused{0};

}  // namespace otnfm::test

#if !(defined(__clang__) && defined(__SANITIZE_THREAD__))

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  using namespace otnfm::test;
  if (bytes >= kLargerBytes && until_refused.load() >= 0 && until_refused.fetch_sub(1) == 0) {
    refused = bytes;
    return nullptr;
  }
  return std::malloc(bytes > 0 ? bytes : 1);
}
void* operator new(std::size_t bytes) {
  if (void* memory = operator new(bytes, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

#endif
