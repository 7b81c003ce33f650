// The pool of threads behind parallel.h.
//
// A loop is an entry on a board: a number of parts, of which each thread takes the next until none is left. Threads of
// the pool look at the board when its count of loops has changed. One that finds nothing spins for a while, then yields
// its processor to others, then sleeps. No thread of the pool has to come: the caller takes parts too, and in the end
// waits only for parts that another thread has taken. So a loop on a busy machine, in a child of fork() (which has none
// of these threads), or where no thread can be made takes as long as on one thread.
//
// The threads run until the program ends. They block all signals, so that those reach the program's own threads.
#include "kernels/host/parallel.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace otnfm::host {
namespace {

using Clock = std::chrono::steady_clock;

// A step of training leaves gaps of some 10 us between its loops, and to be woken takes some 50 us.
constexpr std::chrono::microseconds kSpin{20}, kYield{200};
constexpr int kBoard = 64;

void pause_processor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
  static_assert(sizeof(word) == sizeof(std::uint32_t));
  return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation | FUTEX_PRIVATE_FLAG, value, nullptr,
                 nullptr, 0);
}

/// True as soon as done(), false where it was not within kSpin and kYield.
template <class Done>
bool spin_until(const Done& done) {
  for (int i = 0; i < 8; ++i) {
    if (done()) return true;
    pause_processor();
  }
  const Clock::time_point start = Clock::now();
  for (;;) {
    for (int i = 0; i < 8; ++i) {
      if (done()) return true;
      pause_processor();
    }
    const Clock::duration spent = Clock::now() - start;
    if (spent > kYield) return done();
    if (spent > kSpin) sched_yield();
  }
}

struct Loop {
  void (*run)(const void* body, int part);
  const void* body;
  int parts;
  std::atomic<int> next{0};

  bool run_next() {
    const int part = next.fetch_add(1, std::memory_order_relaxed);
    if (part >= parts) return false;
    run(body, part);
    return true;
  }
};

/// One loop on the board. `loop` lies on the caller's stack, so a thread must enter itself in `state` before it touches
/// it. `state` holds kOpen while there may be parts to take, how many threads may still help, and how many are at work.
/// The caller leaves when the entry is closed and no thread is at work on it.
struct alignas(64) Entry {
  static constexpr std::uint32_t kOpen = 1u << 31, kCallerSleeps = 1u << 30, kOne = 1u, kCount = 0xfff;
  static constexpr int kMostShift = 12;
  std::atomic<std::uint32_t> state{0};
  std::atomic<bool> taken{false};
  Loop* loop = nullptr;

  /// For threads of the pool: true where there was something to do.
  bool help() {
    std::uint32_t now = state.load(std::memory_order_relaxed);
    do {
      if ((now & kOpen) == 0 || (now & kCount) >= (now >> kMostShift & kCount)) return false;
    } while (!state.compare_exchange_weak(now, now + kOne, std::memory_order_acquire, std::memory_order_relaxed));
    bool helped = false;
    while (loop->run_next()) helped = true;
    state.fetch_and(~kOpen, std::memory_order_relaxed);
    now = state.fetch_sub(kOne, std::memory_order_release);
    if ((now & kCount) == 1 && (now & kCallerSleeps) != 0) futex(state, FUTEX_WAKE, 1);
    return helped;
  }

  void close() {
    state.fetch_and(~kOpen, std::memory_order_relaxed);
    const auto left = [&] { return (state.load(std::memory_order_acquire) & kCount) == 0; };
    if (!spin_until(left))
      for (;;) {
        const std::uint32_t now = state.fetch_or(kCallerSleeps, std::memory_order_acquire) | kCallerSleeps;
        if ((now & kCount) == 0) break;
        futex(state, FUTEX_WAIT, now);
      }
    state.store(0, std::memory_order_relaxed);
  }
};

// Never destroyed: threads look at it until the program ends.
struct Pool {
  Entry board[kBoard];
  std::atomic<int> used{0};                                        ///< entries from here on have never been taken
  alignas(64) std::atomic<std::uint32_t> loops{0};                 ///< how many there have been; what the idle sleep on
  alignas(64) std::atomic<int> threads{0}, awake{0}, sleepers{0};  ///< all; the idle that spin; the idle that sleep
  std::atomic<bool> growing{false};
};
constinit Pool pool;

// True in a thread that runs a part.
__attribute__((tls_model("initial-exec"))) thread_local bool in_part = false;

void* work(void*) {
  in_part = true;
  for (;;) {
    const std::uint32_t seen = pool.loops.load(std::memory_order_seq_cst);
    bool helped = false;
    const int used = pool.used.load(std::memory_order_relaxed);
    for (int k = 0; k < used; ++k)
      if (pool.board[k].state.load(std::memory_order_relaxed) != 0) helped = pool.board[k].help() || helped;
    if (helped) continue;
    const auto changed = [&] { return pool.loops.load(std::memory_order_relaxed) != seen; };
    pool.awake.fetch_add(1, std::memory_order_relaxed);
    const bool called = spin_until(changed);
    pool.awake.fetch_sub(1, std::memory_order_relaxed);
    if (called) continue;
    pool.sleepers.fetch_add(1, std::memory_order_seq_cst);
    futex(pool.loops, FUTEX_WAIT, seen);
    pool.sleepers.fetch_sub(1, std::memory_order_relaxed);
  }
  return nullptr;
}

/// In a child of fork() none of the threads is there.
void forget_threads() {
  for (Entry& entry : pool.board) entry.state = 0, entry.taken = false;
  pool.threads = pool.awake = pool.sleepers = 0;
  pool.growing = false;
}

/// Makes threads until there are `wanted`, or no more can be made.
void grow(int wanted) {
  if (pool.growing.exchange(true, std::memory_order_acquire)) return;  // another thread makes them
  static const int registered = pthread_atfork(nullptr, nullptr, forget_threads);
  static_cast<void>(registered);
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_t detached;
  if (pthread_attr_init(&detached) == 0) {
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    while (pool.threads.load(std::memory_order_relaxed) < wanted &&
           pthread_create(&thread, &detached, work, nullptr) == 0)
      pool.threads.fetch_add(1, std::memory_order_relaxed);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&detached);
  }
  pool.growing.store(false, std::memory_order_release);
}

void call(int helpers) {
  pool.loops.fetch_add(1, std::memory_order_seq_cst);
  const int asleep = pool.sleepers.load(std::memory_order_seq_cst);
  const int missing = helpers - pool.awake.load(std::memory_order_relaxed);
  if (asleep > 0 && missing > 0) futex(pool.loops, FUTEX_WAKE, static_cast<std::uint32_t>(std::min(asleep, missing)));
}

Entry* take_entry() {
  for (int k = 0; k < kBoard; ++k) {
    Entry& entry = pool.board[k];
    if (entry.taken.load(std::memory_order_relaxed) || entry.taken.exchange(true, std::memory_order_acquire)) continue;
    for (int used = pool.used.load(std::memory_order_relaxed);
         used <= k && !pool.used.compare_exchange_weak(used, k + 1, std::memory_order_relaxed);) {
    }
    return &entry;
  }
  return nullptr;
}

/// Processors that a control group (a container's) leaves to this process, rounded up; INT_MAX where it says nothing.
int processors_of_group() {
  double quota = 0, period = 0;  // "max" and -1 are no quota
  if (std::ifstream both("/sys/fs/cgroup/cpu.max"); !(both >> quota >> period)) {
    quota = 0;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? static_cast<int>(std::clamp(std::ceil(quota / period), 1.0, 1e6)) : INT_MAX;
}

int default_thread_count() {
  if (const char* given = std::getenv("OMP_NUM_THREADS")) {
    const int threads = std::atoi(given);  // of "4,2", the first
    if (threads > 0) return std::min(threads, kMostThreads);
  }
  cpu_set_t allowed;
  int processors = 1;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
    processors = CPU_COUNT(&allowed);
  else
    processors = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));  // more than cpu_set_t holds
  return std::clamp(std::min(processors, processors_of_group()), 1, kMostThreads);
}

std::atomic<int> chosen_threads{0};

}  // namespace

void set_thread_count(int threads) {
  chosen_threads.store(std::min(threads, kMostThreads), std::memory_order_relaxed);
}

int thread_count() {
  if (in_part || ThreadLimit::holds() == 1) return 1;
#if defined(_OPENMP)
  if (omp_in_parallel()) return 1;
#endif
  if (ThreadLimit::holds() > 0) return std::min(ThreadLimit::holds(), kMostThreads);
  if (const int chosen = chosen_threads.load(std::memory_order_relaxed); chosen > 0) return chosen;
  static const int usual = default_thread_count();
  return usual;
}

void run_parts(int parts, void (*run)(const void* body, int part), const void* body) {
  Loop loop{.run = run, .body = body, .parts = parts};
  const bool nested = in_part;
  Entry* const entry = nested ? nullptr : take_entry();
  if (entry != nullptr) {
    const int helpers = std::min(parts, kMostThreads) - 1;
    if (pool.threads.load(std::memory_order_relaxed) < helpers) grow(helpers);
    entry->loop = &loop;
    entry->state.store(Entry::kOpen | static_cast<std::uint32_t>(helpers) << Entry::kMostShift,
                       std::memory_order_release);
    call(helpers);
  }
  in_part = true;
  while (loop.run_next()) {
  }
  in_part = nested;
  if (entry == nullptr) return;
  entry->close();
  entry->taken.store(false, std::memory_order_release);
}

}  // namespace otnfm::host
