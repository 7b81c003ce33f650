// The one way that CPU kernels use threads. Work below the grain stays on the calling thread: waking the others costs
// about a microsecond, in which one core moves some 30 KB or computes some 10,000 activations.
//
// The threads are a pool of our own (parallel.cpp). OpenMP's wait for each other by spinning, and so stand still where
// other programs have the processors. Here a thread takes the next part of a loop that is not taken yet: where the
// others get no processor the caller does all parts alone, and it waits only for parts that are under way.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

namespace otnfm::host {

inline constexpr std::int64_t kElementGrain = 8192;
inline constexpr int kMostThreads = 1024;

/// How many threads a loop that this thread starts is cut for: ThreadLimit's number, or else the program's. 1 inside
/// a loop that is cut already, and inside a caller's OpenMP region.
int thread_count();

/// The program's number of threads, for every thread without a ThreadLimit; 0 is the default: OMP_NUM_THREADS, or else
/// the processors that this process may use (its affinity, and its share where a control group limits it).
void set_thread_count(int threads);

/// While it lives, loops that this thread starts are cut for `threads` threads; 0 changes nothing. It allocates
/// nothing, not even at a thread's first call.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads) : before_(limit_) {
    if (threads > 0) limit_ = threads;
  }
  ~ThreadLimit() { limit_ = before_; }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;
  static int holds() { return limit_; }  ///< 0: none

 private:
  // Part of the thread's static block, also where the library was opened late.
  __attribute__((tls_model("initial-exec"))) static inline thread_local int limit_ = 0;
  int before_;
};

/// While it lives, loops that this thread starts stay on it.
class OneThread : ThreadLimit {
 public:
  OneThread() : ThreadLimit(1) {}
};

/// What threads of a parallel loop have thrown, for the thread that began it. The first is kept.
class Thrown {
 public:
  /// work(), whose exception is kept.
  template <class Work>
  void guard(const Work& work) noexcept {
    try {
      work();
    } catch (...) {
      if (!taken_.test_and_set()) error_ = std::current_exception();
    }
  }
  /// After the loop: throws what is kept.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic_flag taken_;
  std::exception_ptr error_;
};

/// run(body, part) for each part in [0, parts), on this thread and on those of the pool that are free; returns when all
/// have ended. `run` must not throw.
void run_parts(int parts, void (*run)(const void* body, int part), const void* body);

/// body(part) for each part in [0, parts), each once, on one thread each. What a part throws is thrown after the others
/// have ended.
template <class Body>
void parallel_parts(int parts, const Body& body) {
  if (parts <= 0) return;
  if (parts == 1) return body(0);
  Thrown thrown;
  const auto guarded = [&](int part) { thrown.guard([&] { body(part); }); };
  run_parts(
      parts, [](const void* work, int part) { (*static_cast<const decltype(guarded)*>(work))(part); }, &guarded);
  thrown.rethrow();
}

/// body(part, begin, end) over contiguous parts of [0, n), numbered from 0, each of at least `grain` and at most
/// thread_count() of them. The parts depend on n, grain and the number of threads alone.
template <class Body>
void parallel_numbered_ranges(std::int64_t n, std::int64_t grain, const Body& body) {
  if (n <= 0) return;
  const std::int64_t parts =
      std::min<std::int64_t>(thread_count(), std::max<std::int64_t>(1, n / std::max<std::int64_t>(1, grain)));
  parallel_parts(static_cast<int>(parts), [&](int part) {
    const std::int64_t begin = n * part / parts, end = n * (part + 1) / parts;
    if (begin < end) body(part, begin, end);
  });
}

/// body(begin, end): the same without the part's number.
template <class Body>
void parallel_ranges(std::int64_t n, std::int64_t grain, const Body& body) {
  parallel_numbered_ranges(n, grain, [&](int, std::int64_t begin, std::int64_t end) { body(begin, end); });
}

/// body(begin, end) over rows of `columns` elements each.
template <class Body>
void parallel_rows(std::int64_t rows, std::int64_t columns, const Body& body) {
  parallel_ranges(rows, std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, columns)), body);
}

/// body(i, part) for i in [begin, end), where `parts` threads take the next `chunk` of them each time that they are
/// done with one: for items of unlike cost. `part`, below `parts`, is for what a thread has of its own. Which part an
/// item has is left to chance.
template <class Body>
void parallel_items(std::int64_t begin, std::int64_t end, std::int64_t chunk, int parts, const Body& body) {
  std::atomic<std::int64_t> next{begin};
  parallel_parts(parts, [&](int part) {
    for (std::int64_t first; (first = next.fetch_add(chunk, std::memory_order_relaxed)) < end;)
      for (std::int64_t i = first; i < std::min(end, first + chunk); ++i) body(i, part);
  });
}

}  // namespace otnfm::host
