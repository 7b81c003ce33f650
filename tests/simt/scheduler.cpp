// The rules of barriers and warp collectives. This file is compiled without ThreadSanitizer: what orders two
// threads of a kernel is a barrier or a __syncwarp alone, and not the accident that one fiber ran before the other, nor
// the book-keeping here.
#include "scheduler.h"

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

#include "fiber.h"
#include "simt.h"

// Null where ThreadSanitizer is not linked in.
extern "C" __attribute__((weak)) void __tsan_acquire(void* point);

thread_local constinit uint3 threadIdx{};
thread_local constinit uint3 blockIdx{};
thread_local constinit dim3 blockDim{};
thread_local constinit dim3 gridDim{};

namespace simt {
namespace {

constexpr int kLanes = 32;

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
      for (unsigned i = 0; i < count_; ++i) threads_[i].fiber.release(&launch_end_);
      if (under_tsan()) __tsan_acquire(&launch_end_);
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
  s.current().fiber.release(&s.launch_end_);
  s.current().state = State::left;
  ++s.left_;
  s.current().fiber.suspend(/*last=*/true);
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
  const Unobserved scope;
  void* const point = std::malloc(1);  // a fresh address: no clock of an earlier group is left in it
  for (unsigned i = 0; i < count; ++i) threads_[members[i]].fiber.release(point);
  for (unsigned i = 0; i < count; ++i) threads_[members[i]].fiber.acquire(point);
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

void run(const Launch& launch) {
  if (active) active->fail([] { return std::string("it launches a kernel"); });
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
