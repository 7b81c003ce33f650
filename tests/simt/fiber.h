// A thread of a block: a stack of its own, and the change from the host's stack to it and back. The sanitizers are told
// of each change, where the program has one.
#pragma once

#include <cstddef>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace simt {

/// ThreadSanitizer is linked in.
bool under_tsan();

/// In this scope ThreadSanitizer ignores accesses, and forgets what it knew of memory that is allocated or freed.
struct Unobserved {
  Unobserved();
  ~Unobserved();
};

class Fiber {
 public:
  static constexpr std::size_t kStackBytes = 128 << 10;

  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() { release_stack(); }

  /// Makes `entry` run, from its beginning, when the fiber is resumed. What it was in the middle of is abandoned.
  void prepare(void (*entry)());

  /// On the host: runs the fiber until it suspends.
  void resume();

  /// On the fiber, before anything else.
  void enter();

  /// On the fiber: back to the host. With `last`, for good.
  void suspend(bool last = false);

  /// To ThreadSanitizer: what this fiber did so far comes before what others do after they acquire `point`.
  void release(void* point) const;
  void acquire(void* point) const;

 private:
  void map_stack();
  void release_stack();

  char* stack_ = nullptr;
  std::size_t guard_bytes_ = 0;
  bool abandoned_ = false;
  void* fake_stack_ = nullptr;         // AddressSanitizer's
  const void* host_bottom_ = nullptr;  // the host's stack
  std::size_t host_size_ = 0;
  void *tsan_thread_ = nullptr, *tsan_host_ = nullptr;
#if defined(__x86_64__)
  void *pointer_ = nullptr, *host_pointer_ = nullptr;
#else
  ucontext_t context_, host_context_;
#endif
};

}  // namespace simt
