// Compiled without ThreadSanitizer, as is scheduler.cpp.
#include "fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <new>
#include <utility>

// The sanitizers' interface to fibers, null where the program is linked without them.
extern "C" {
__attribute__((weak)) void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, std::size_t size);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, std::size_t* size);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* begin, std::size_t size);
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void* fiber);
__attribute__((weak)) void __tsan_switch_to_fiber(void* fiber, unsigned flags);
__attribute__((weak)) void __tsan_acquire(void* point);
__attribute__((weak)) void __tsan_release(void* point);
__attribute__((weak)) void AnnotateIgnoreReadsBegin(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreReadsEnd(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreWritesBegin(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreWritesEnd(const char* file, int line);
}

// simt_switch(save, load): pushes the registers that a call preserves, stores the stack pointer in *save, goes on where
// `load` left.
#if defined(__x86_64__)
extern "C" void simt_switch(void** save, void* load);
asm(R"(
.text
.globl simt_switch
.type simt_switch, @function
simt_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
.size simt_switch, .-simt_switch
)");
#endif

namespace simt {
namespace {

constexpr unsigned kNoSync = 1;  // __tsan_switch_to_fiber_no_sync: that one ran before the other orders nothing

}  // namespace

bool under_tsan() {
  return __tsan_create_fiber != nullptr;
}

Unobserved::Unobserved() {
  if (!under_tsan()) return;
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

Unobserved::~Unobserved() {
  if (!under_tsan()) return;
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

void Fiber::prepare(void (*entry)()) {
  if (under_tsan()) {
    // A new thread to ThreadSanitizer, not ordered after those of other blocks, so that it reports races between
    // blocks; and a new stack, since the old one was another thread's.
    release_stack();
    const Unobserved scope;
    stack_ = static_cast<char*>(std::malloc(kStackBytes));
    if (!stack_) throw std::bad_alloc();
    tsan_thread_ = __tsan_create_fiber(0);
  } else if (!stack_) {
    map_stack();
  } else if (abandoned_ && __asan_unpoison_memory_region) {
    __asan_unpoison_memory_region(stack_, kStackBytes);
  }
  abandoned_ = true;
  fake_stack_ = nullptr;
#if defined(__x86_64__)
  // As simt_switch leaves it: six registers (rbp 0 ends a stack walk), where to go on, and a return address of 0.
  void** top = reinterpret_cast<void**>(stack_ + kStackBytes) - 1;
  *top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  pointer_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
}

void Fiber::resume() {
  void* host_fake_stack = nullptr;
  if (under_tsan()) {
    tsan_host_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(tsan_thread_, kNoSync);
  }
  if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&host_fake_stack, stack_, kStackBytes);
#if defined(__x86_64__)
  simt_switch(&host_pointer_, pointer_);
#else
  swapcontext(&host_context_, &context_);
#endif
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(host_fake_stack, nullptr, nullptr);
}

void Fiber::enter() {
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(nullptr, &host_bottom_, &host_size_);
}

void Fiber::suspend(bool last) {
  if (last) abandoned_ = false;
  if (under_tsan()) __tsan_switch_to_fiber(tsan_host_, kNoSync);
  if (__sanitizer_start_switch_fiber)
    __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, host_bottom_, host_size_);
#if defined(__x86_64__)
  simt_switch(&pointer_, host_pointer_);
#else
  swapcontext(&context_, &host_context_);
#endif
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fake_stack_, &host_bottom_, &host_size_);
}

void Fiber::release(void* point) const {
  if (!under_tsan()) return;
  void* const here = __tsan_get_current_fiber();
  if (tsan_thread_ != here) __tsan_switch_to_fiber(tsan_thread_, kNoSync);
  __tsan_release(point);
  if (tsan_thread_ != here) __tsan_switch_to_fiber(here, kNoSync);
}

void Fiber::acquire(void* point) const {
  if (!under_tsan()) return;
  void* const here = __tsan_get_current_fiber();
  if (tsan_thread_ != here) __tsan_switch_to_fiber(tsan_thread_, kNoSync);
  __tsan_acquire(point);
  if (tsan_thread_ != here) __tsan_switch_to_fiber(here, kNoSync);
}

void Fiber::map_stack() {
  guard_bytes_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* mapped = mmap(nullptr, guard_bytes_ + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED || mprotect(mapped, guard_bytes_, PROT_NONE) != 0) throw std::bad_alloc();
  stack_ = static_cast<char*>(mapped) + guard_bytes_;
}

void Fiber::release_stack() {
  if (tsan_thread_) __tsan_destroy_fiber(std::exchange(tsan_thread_, nullptr));
  if (!stack_) return;
  const Unobserved scope;
  if (guard_bytes_)
    munmap(stack_ - guard_bytes_, guard_bytes_ + kStackBytes);
  else
    std::free(stack_);
  stack_ = nullptr;
}

}  // namespace simt
