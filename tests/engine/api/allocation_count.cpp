// Without a sanitizer the program's own malloc takes the place of the C library's and passes on to it; operator new
// ends there too. A sanitizer has a malloc of its own, and tells a hook of every call.
#include "tests/engine/api/allocation_count.h"

#include <cerrno>
#include <cstddef>

namespace {

// Set up with the thread, so that touching them allocates nothing.
thread_local bool counting = false;
thread_local std::int64_t counted = 0;

void count_one() {
  if (counting) ++counted;
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, std::size_t),
                                                         void (*on_free)(const volatile void*));

namespace {
const int installed = __sanitizer_install_malloc_and_free_hooks([](const volatile void*, std::size_t) { count_one(); },
                                                                [](const volatile void*) {});
}  // namespace

#else

extern "C" {

void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* pointer, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* pointer);

void* malloc(std::size_t bytes) {
  count_one();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  count_one();
  return __libc_calloc(count, bytes);
}
void* realloc(void* pointer, std::size_t bytes) {
  count_one();
  return __libc_realloc(pointer, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  count_one();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return memalign(alignment, bytes);
}
int posix_memalign(void** pointer, std::size_t alignment, std::size_t bytes) {
  *pointer = memalign(alignment, bytes);
  return *pointer != nullptr ? 0 : ENOMEM;
}
void free(void* pointer) {
  __libc_free(pointer);
}

}  // extern "C"

#endif

namespace otnfm::test {

AllocationCount::AllocationCount() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  (void)installed;
#endif
#if defined(__clang__) && defined(__SANITIZE_THREAD__)
  // clang's OpenMP, and the race checker that stands by it, make what they keep for a thread with its first regions.
  for (int region = 0; region < 100; ++region) {
    int at_work = 0;
#pragma omp parallel num_threads(1 + region % 2) reduction(+ : at_work)
    ++at_work;
  }
#endif
  counted = 0;
  counting = true;
}
AllocationCount::~AllocationCount() {
  counting = false;
}
std::int64_t AllocationCount::count() const {
  return counted;
}

}  // namespace otnfm::test
