#include "tools/out_of_memory.h"

#include <cstdio>
#include <cstdlib>

namespace otnfm {
namespace {

char purpose[256] = "the program itself";

}  // namespace

void memory_is_for(const std::string& what) {
  std::snprintf(purpose, sizeof(purpose), "%s", what.c_str());
}

void say_out_of_memory(std::size_t bytes) noexcept {
  std::fprintf(stderr, "otnfm: error: out of memory: %zu bytes for %s\n", bytes, purpose);
}

}  // namespace otnfm

// A sanitizer has its own, and ends the program by itself.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return std::malloc(bytes > 0 ? bytes : 1);
}

void* operator new(std::size_t bytes) {
  if (void* memory = operator new(bytes, std::nothrow)) return memory;
  throw otnfm::OutOfMemory(bytes);
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

#endif
