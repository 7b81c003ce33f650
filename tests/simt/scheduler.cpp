// Fibers and the rules of barriers and warp collectives. This file is compiled without ThreadSanitizer: what orders two
// threads of a kernel is a barrier or a __syncwarp alone, and not the accident that one fiber ran before the other, nor
// the book-keeping here.
#include "scheduler.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "simt.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

// The sanitizers' interface to fibers, null where the program is linked without them.
extern "C" {
__attribute__((weak)) void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, std::size_t size);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, std::size_t* size);
__attribute__((weak)) void __sanitizer_symbolize_pc(void* pc, const char* format, char* text, std::size_t size);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* begin, std::size_t size);
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void* fiber);
__attribute__((weak)) void __tsan_switch_to_fiber(void* fiber, unsigned flags);
__attribute__((weak)) void __tsan_acquire(void* address);
__attribute__((weak)) void __tsan_release(void* address);
__attribute__((weak)) void AnnotateIgnoreReadsBegin(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreReadsEnd(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreWritesBegin(const char* file, int line);
__attribute__((weak)) void AnnotateIgnoreWritesEnd(const char* file, int line);
}

thread_local constinit uint3 threadIdx{};
thread_local constinit uint3 blockIdx{};
thread_local constinit dim3 blockDim{};
thread_local constinit dim3 gridDim{};

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

constexpr int kLanes = 32;

bool under_tsan() {
  return __tsan_create_fiber != nullptr;
}

/// ThreadSanitizer forgets what it knew of memory that is allocated and freed in this scope, instead of taking it for
/// an access.
struct Unobserved {
  Unobserved() {
    if (!under_tsan()) return;
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unobserved() {
    if (!under_tsan()) return;
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};

std::uint64_t seed_of_environment() {
  const char* text = std::getenv("OTNFM_SIMT_SEED");
  return text ? std::strtoull(text, nullptr, 10) : 0;
}

std::atomic<std::uint64_t> first_seed{seed_of_environment()};
std::atomic<std::uint64_t> launches{0};

struct Random {  // splitmix64
  std::uint64_t state;
  std::uint64_t next() {
    std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  unsigned below(unsigned n) { return static_cast<unsigned>(((next() >> 32) * n) >> 32); }
};

/// A stack to run on, and what is needed to come back to it.
class Fiber {
 public:
  static constexpr std::size_t kStackBytes = 128 << 10;

  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() { release_stack(); }

  /// Makes `entry` run when the fiber is next switched to. A fiber that was left in the middle is abandoned.
  void prepare(void (*entry)()) {
    if (under_tsan()) {
      // A new stack and a new thread to ThreadSanitizer, not ordered after those of other blocks, so that it reports
      // races between blocks.
      release_stack();
      const Unobserved scope;
      stack_ = static_cast<char*>(std::malloc(kStackBytes));
      if (!stack_) throw std::bad_alloc();
      thread_ = __tsan_create_fiber(0);
    } else if (!stack_) {
      map_stack();
    } else if (abandoned_ && __asan_unpoison_memory_region) {
      __asan_unpoison_memory_region(stack_, kStackBytes);
    }
    abandoned_ = true;
    fake_stack_ = nullptr;
#if defined(__x86_64__)
    // As simt_switch leaves it: six registers (rbp 0 ends a stack walk), then where to go on, then a return address of
    // 0.
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

  /// Called by the host: runs the fiber until it suspends.
  void resume() {
    void* host_fake_stack = nullptr;
    if (under_tsan()) {
      host_thread_ = __tsan_get_current_fiber();
      __tsan_switch_to_fiber(thread_, kNoSync);
    }
    if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&host_fake_stack, stack_, kStackBytes);
#if defined(__x86_64__)
    simt_switch(&host_pointer_, pointer_);
#else
    swapcontext(&host_context_, &context_);
#endif
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(host_fake_stack, nullptr, nullptr);
  }

  /// Called on the fiber, first of all.
  void enter() {
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(nullptr, &host_bottom_, &host_size_);
  }

  /// Called on the fiber: back to the host. With `last`, for good.
  void suspend(bool last = false) {
    if (last) abandoned_ = false;
    if (under_tsan()) __tsan_switch_to_fiber(host_thread_, kNoSync);
    if (__sanitizer_start_switch_fiber)
      __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, host_bottom_, host_size_);
#if defined(__x86_64__)
    simt_switch(&pointer_, host_pointer_);
#else
    swapcontext(&context_, &host_context_);
#endif
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fake_stack_, &host_bottom_, &host_size_);
  }

  void* thread() const {
    return thread_;
  }  // to ThreadSanitizer

  static constexpr unsigned kNoSync = 1;  // __tsan_switch_to_fiber_no_sync

 private:
  void map_stack() {
    const std::size_t guard = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* mapped =
        mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED || mprotect(mapped, guard, PROT_NONE) != 0) throw std::bad_alloc();
    stack_ = static_cast<char*>(mapped) + guard;
    guard_ = guard;
  }

  void release_stack() {
    if (thread_) __tsan_destroy_fiber(std::exchange(thread_, nullptr));
    if (!stack_) return;
    const Unobserved scope;
    if (guard_)
      munmap(stack_ - guard_, guard_ + kStackBytes);
    else
      std::free(stack_);
    stack_ = nullptr;
  }

  char* stack_ = nullptr;
  std::size_t guard_ = 0;
  bool abandoned_ = false;
  void* fake_stack_ = nullptr;
  const void* host_bottom_ = nullptr;
  std::size_t host_size_ = 0;
  void *thread_ = nullptr, *host_thread_ = nullptr;
#if defined(__x86_64__)
  void *pointer_ = nullptr, *host_pointer_ = nullptr;
#else
  ucontext_t context_, host_context_;
#endif
};

enum class State : std::uint8_t { ready, at_barrier, at_warp_op, left };
enum class WarpOp : std::uint8_t { sync, shuffle, ballot };

const char* name_of(WarpOp op) {
  return op == WarpOp::sync ? "__syncwarp" : op == WarpOp::shuffle ? "a shuffle" : "a vote";
}

struct Thread {
  Fiber fiber;
  uint3 index;
  State state = State::ready;
  bool fenced = false;
  Location where;
  // What it brought to the barrier or to the warp collective, and what it takes away.
  bool predicate = false;
  WarpOp op = WarpOp::sync;
  unsigned mask = 0;
  int source = 0;
  std::uint64_t value = 0, result = 0;
};

std::string text_of(uint3 i) {
  return "(" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) + ")";
}

std::string text_of(const Location& where) {
  const std::string file = where.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line());
}

class Scheduler {
 public:
  void run(const Launch& launch);

  int barrier(bool predicate, Location where);
  std::uint64_t warp_op(WarpOp op, unsigned mask, std::uint64_t value, int source, Location where);
  void* shared_array(const void* declaration, std::size_t bytes);
  void* dynamic_shared() const { return dynamic_shared_; }
  Thread& current() { return threads_[current_]; }
  int lane() const { return static_cast<int>(current_) % kLanes; }

  /// Called on a fiber: ends the kernel. The text is made and dropped before the fiber is abandoned, which runs no
  /// destructor.
  template <class MakeText>
  [[noreturn]] void fail(const MakeText& make_text) {
    {
      const Unobserved scope;
      failure_ = "thread " + text_of(current().index) + ": " + make_text();
    }
    current().fiber.suspend();
    std::abort();  // not reached: the host resumes nothing after a failure
  }

 private:
  static void enter_fiber();
  void run_block(Random& random);
  std::string why_stuck() const;
  void synchronise(const unsigned* members, unsigned count);
  void join_abandoned();
  void make_ready(unsigned thread);
  void* allocate(std::size_t bytes);

  const Launch* launch_ = nullptr;
  // Plain arrays: a standard container's functions may be shared with a file that ThreadSanitizer does watch.
  std::unique_ptr<Thread[]> pool_;
  std::unique_ptr<unsigned[]> lists_;
  Thread* threads_ = nullptr;
  unsigned *ready_ = nullptr, *everyone_ = nullptr;
  unsigned capacity_ = 0, count_ = 0, current_ = 0, ready_count_ = 0, waiting_ = 0, left_ = 0;
  std::string failure_;
  std::vector<std::pair<const void*, void*>> arrays_;
  std::vector<void*> allocated_;
  void* dynamic_shared_ = nullptr;
  char launch_end_ = 0;  // an address, to ThreadSanitizer
};

thread_local std::unique_ptr<Scheduler> scheduler_of_host_thread;
thread_local constinit Scheduler* active = nullptr;

Scheduler& device_code(const char* what) {
  if (!active) throw Error(std::string(what) + " was called outside of a kernel");
  return *active;
}

void Scheduler::run(const Launch& launch) {
  launch_ = &launch;
  count_ = launch.block.x * launch.block.y * launch.block.z;
  if (capacity_ < count_) {
    pool_ = std::make_unique<Thread[]>(count_);
    lists_ = std::make_unique<unsigned[]>(2 * count_);
    threads_ = pool_.get(), ready_ = lists_.get(), everyone_ = ready_ + count_;
    for (unsigned i = 0; i < count_; ++i) everyone_[i] = i;
    capacity_ = count_;
  }
  blockDim = launch.block;
  gridDim = launch.grid;
  Random random{first_seed.load() * 0x2545f4914f6cdd1du + launches.fetch_add(1)};

  std::vector<std::uint64_t> order(std::uint64_t{1} * launch.grid.x * launch.grid.y * launch.grid.z);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t j = random.next() % (i + 1);
    order[i] = order[j];
    order[j] = i;
  }
  for (const std::uint64_t block : order) {
    const std::uint64_t in_plane = block / launch.grid.x;
    blockIdx = {static_cast<unsigned>(block % launch.grid.x), static_cast<unsigned>(in_plane % launch.grid.y),
                static_cast<unsigned>(in_plane / launch.grid.y)};
    run_block(random);
    if (!failure_.empty()) {
      join_abandoned();
      throw Error(std::string("kernel ") + name_of_kernel(launch.kernel) + ", block " + text_of(blockIdx) + ", " +
                  std::exchange(failure_, {}));
    }
  }
  if (under_tsan()) __tsan_acquire(&launch_end_);
}

void Scheduler::run_block(Random& random) {
  waiting_ = left_ = ready_count_ = 0;
  uint3 index{};
  for (unsigned i = 0; i < count_; ++i) {
    Thread& t = threads_[i];
    t.fiber.prepare(&Scheduler::enter_fiber);
    t.index = index;
    t.fenced = false;
    make_ready(i);
    if (++index.x == blockDim.x) index.x = 0, ++index.y;
    if (index.y == blockDim.y) index.y = 0, ++index.z;
  }
  dynamic_shared_ = allocate(launch_->dynamic_shared_bytes);
  while (failure_.empty() && ready_count_ > 0) {
    unsigned& chosen = ready_[random.below(ready_count_)];
    current_ = chosen;
    chosen = ready_[--ready_count_];
    threadIdx = current().index;
    current().fiber.resume();
    if (failure_.empty() && ready_count_ == 0 && left_ < count_) failure_ = why_stuck();
  }
  const Unobserved scope;
  for (void* pointer : allocated_) std::free(pointer);
  allocated_.clear();
  arrays_.clear();
}

void Scheduler::enter_fiber() {
  Scheduler& s = *active;
  s.current().fiber.enter();
  s.launch_->body();
  if (under_tsan()) __tsan_release(&s.launch_end_);
  s.current().state = State::left;
  ++s.left_;
  s.current().fiber.suspend(/*last=*/true);
}

/// After a failure: what the threads did is past, also to ThreadSanitizer.
void Scheduler::join_abandoned() {
  if (!under_tsan()) return;
  void* const here = __tsan_get_current_fiber();
  for (unsigned i = 0; i < count_; ++i) {
    if (threads_[i].state == State::left) continue;
    __tsan_switch_to_fiber(threads_[i].fiber.thread(), Fiber::kNoSync);
    __tsan_release(&launch_end_);
  }
  __tsan_switch_to_fiber(here, Fiber::kNoSync);
  __tsan_acquire(&launch_end_);
}

void* Scheduler::allocate(std::size_t bytes) {
  const Unobserved scope;
  void* pointer = std::malloc(bytes);
  if (!pointer) throw std::bad_alloc();
  std::memset(pointer, 0xff, bytes);
  allocated_.push_back(pointer);
  return pointer;
}

void* Scheduler::shared_array(const void* declaration, std::size_t bytes) {
  const Unobserved scope;
  for (const auto& [known, pointer] : arrays_)
    if (known == declaration) return pointer;
  void* pointer = allocate(bytes);
  arrays_.emplace_back(declaration, pointer);
  return pointer;
}

void Scheduler::make_ready(unsigned thread) {
  threads_[thread].state = State::ready;
  ready_[ready_count_++] = thread;
}

/// Tells ThreadSanitizer that each of the members' later accesses come after all their earlier ones.
void Scheduler::synchronise(const unsigned* members, unsigned count) {
  if (!under_tsan()) return;
  void* const here = __tsan_get_current_fiber();
  const auto each = [&](void (*act)(void*), void* point) {
    for (unsigned i = 0; i < count; ++i) {
      __tsan_switch_to_fiber(threads_[members[i]].fiber.thread(), Fiber::kNoSync);
      act(point);
    }
    __tsan_switch_to_fiber(here, Fiber::kNoSync);
  };
  const Unobserved scope;
  void* const point = std::malloc(1);  // a fresh address: no clock of an earlier group is left in it
  each(__tsan_release, point);
  each(__tsan_acquire, point);
  std::free(point);
}

int Scheduler::barrier(bool predicate, Location where) {
  Thread& self = current();
  self.state = State::at_barrier;
  self.where = where;
  self.predicate = predicate;
  if (++waiting_ == count_) {
    std::uint64_t holds = 0;
    for (unsigned i = 0; i < count_; ++i) {
      const Thread& other = threads_[i];
      // By line and not by address: the compiler may copy one barrier to several places.
      if (other.where.line() != where.line() || other.where.column() != where.column() ||
          std::strcmp(other.where.file_name(), where.file_name()) != 0)
        fail([&] {
          return "divergent barrier: it waits at " + text_of(where) + " while thread " + text_of(other.index) +
                 " waits at " + text_of(other.where);
        });
      holds += other.predicate;
    }
    waiting_ = 0;
    synchronise(everyone_, count_);
    for (unsigned i = 0; i < count_; ++i) {
      threads_[i].result = holds;
      make_ready(i);
    }
  }
  self.fiber.suspend();
  return static_cast<int>(self.result);
}

std::uint64_t Scheduler::warp_op(WarpOp op, unsigned mask, std::uint64_t value, int source, Location where) {
  Thread& self = current();
  const unsigned first = current_ / kLanes * kLanes;
  const auto here = [&] { return std::string(name_of(op)) + " at " + text_of(where); };
  if (!(mask >> lane() & 1u)) fail([&] { return here() + ": its mask does not name the caller"; });
  if (count_ - first < kLanes && mask >> (count_ - first) != 0)
    fail([&] { return here() + ": its mask names lanes beyond the block's " + std::to_string(count_) + " threads"; });
  if (op == WarpOp::shuffle && !(mask >> source & 1u))
    fail([&] { return here() + ": it reads lane " + std::to_string(source) + ", which its mask does not name"; });
  self.state = State::at_warp_op;
  self.op = op, self.mask = mask, self.value = value, self.source = source, self.where = where;

  unsigned members[kLanes], count = 0, ballot = 0;
  bool complete = true;
  for (int l = 0; l < kLanes && complete; ++l) {
    if (!(mask >> l & 1u)) continue;
    const Thread& other = threads_[first + l];
    complete = other.state == State::at_warp_op && other.mask == mask;
    members[count++] = first + l;
    ballot |= (other.value != 0 ? 1u : 0u) << l;
  }
  if (complete) {
    for (unsigned i = 0; i < count; ++i) {
      const Thread& other = threads_[members[i]];
      if (other.op != op)
        fail([&] {
          return here() + ", while thread " + text_of(other.index) + " is in " + name_of(other.op) + " at " +
                 text_of(other.where) + " with the same mask";
        });
    }
    if (op == WarpOp::sync) synchronise(members, count);  // shuffles and votes order no memory
    for (unsigned i = 0; i < count; ++i) {
      Thread& member = threads_[members[i]];
      member.result = op == WarpOp::shuffle ? threads_[first + static_cast<unsigned>(member.source)].value : ballot;
      make_ready(members[i]);
    }
  }
  self.fiber.suspend();
  return self.result;
}

/// No thread can go on, though some have not left.
std::string Scheduler::why_stuck() const {
  // A warp collective first: a barrier that waits for its lanes is only the consequence.
  for (unsigned i = 0; i < count_; ++i) {
    const Thread& t = threads_[i];
    if (t.state != State::at_warp_op) continue;
    for (unsigned l = 0; l < kLanes; ++l) {
      const Thread& other = threads_[i / kLanes * kLanes + l];
      if (!(t.mask >> l & 1u) || (other.state == State::at_warp_op && other.mask == t.mask)) continue;
      const std::string who = "thread " + text_of(t.index) + ": ";
      const std::string waits =
          "it waits in " + std::string(name_of(t.op)) + " at " + text_of(t.where) + " for lane " + std::to_string(l);
      if (other.state == State::left) return who + waits + ", which has left the kernel";
      if (other.state == State::at_barrier)
        return who + waits + ", which waits in a barrier at " + text_of(other.where);
      char masks[64];
      std::snprintf(masks, sizeof(masks), "masks disagree, 0x%08x and 0x%08x: ", t.mask, other.mask);
      return who + masks + waits + ", which is in " + name_of(other.op) + " at " + text_of(other.where);
    }
  }
  for (unsigned i = 0; i < count_; ++i)
    for (unsigned j = 0; j < count_; ++j)
      if (threads_[i].state == State::at_barrier && threads_[j].state == State::left)
        return "thread " + text_of(threads_[i].index) + ": divergent barrier: it waits at " +
               text_of(threads_[i].where) + " for thread " + text_of(threads_[j].index) + ", which has left the kernel";
  return "deadlock";
}

}  // namespace

void set_seed(std::uint64_t seed) {
  first_seed = seed;
  launches = 0;
}

const char* name_of_kernel(const void* kernel) {
  thread_local char text[1024];
  text[0] = '\0';
  if (__sanitizer_symbolize_pc)
    __sanitizer_symbolize_pc(static_cast<char*>(const_cast<void*>(kernel)) + 1, "%f", text, sizeof(text));
  Dl_info info;
  if (text[0] == '\0' && dladdr(kernel, &info) && info.dli_sname && info.dli_saddr == kernel) return info.dli_sname;
  if (text[0] == '\0') std::snprintf(text, sizeof(text), "at %p", kernel);
  return text;
}

void run(const Launch& launch) {
  if (active) throw Error("a kernel was launched from within a kernel");
  if (!scheduler_of_host_thread) scheduler_of_host_thread = std::make_unique<Scheduler>();
  struct Activate {
    Activate() { active = scheduler_of_host_thread.get(); }
    ~Activate() { active = nullptr; }
  } const scope;
  active->run(launch);
}

int barrier(bool predicate, Location where) {
  return device_code("__syncthreads").barrier(predicate, where);
}

std::uint64_t shuffle(unsigned mask, Shuffle kind, std::uint64_t value, int argument, int width, Location where) {
  Scheduler& s = device_code("a shuffle");
  if (width < 1 || width > kLanes || (width & (width - 1)) != 0)
    s.fail([&] {
      return "the shuffle at " + text_of(where) + " has width " + std::to_string(width) +
             ", wanted a power of two up to 32";
    });
  const int lane = s.lane(), begin = lane / width * width, end = begin + width;
  int source = lane;
  switch (kind) {
    case Shuffle::index:
      source = begin + (argument & (width - 1));
      break;
    case Shuffle::up:
      source = lane - begin >= argument ? lane - argument : lane;
      break;
    case Shuffle::down:
      source = argument < end - lane ? lane + argument : lane;
      break;
    case Shuffle::exclusive_or:
      source = (lane ^ argument) < end ? (lane ^ argument) : lane;
      break;
  }
  return s.warp_op(WarpOp::shuffle, mask, value, source, where);
}

unsigned ballot(unsigned mask, bool predicate, Location where) {
  return static_cast<unsigned>(device_code("a vote").warp_op(WarpOp::ballot, mask, predicate, 0, where));
}

void sync_warp(unsigned mask, Location where) {
  device_code("__syncwarp").warp_op(WarpOp::sync, mask, 0, 0, where);
}

unsigned active_mask() {
  return 1u << device_code("__activemask").lane();
}

void fence() {
  device_code("__threadfence").current().fenced = true;
}

bool fenced() {
  return device_code("an atomic").current().fenced;
}

void* shared_array(const void* declaration, std::size_t bytes) {
  return device_code("SHARED_ARRAY").shared_array(declaration, bytes);
}

void* shared_dynamic() {
  return device_code("SHARED_DYNAMIC").dynamic_shared();
}

void stop(const char* what, Location where) {
  Scheduler& s = device_code("stop");
  s.fail([&] { return std::string(what) + " at " + text_of(where); });
}

}  // namespace simt
