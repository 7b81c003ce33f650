// The one way that CPU kernels use threads. Work below the grain stays on the calling thread: waking the others costs
// about a microsecond, in which one core moves some 30 KB or computes some 10,000 activations.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace otnfm::cpu {

inline constexpr std::int64_t kElementGrain = 8192;

/// While it lives, loops that this thread starts stay on it. Unlike omp_set_num_threads() it allocates nothing, not
/// even at a thread's first call (its flag is part of the thread's static block, also where the library was opened
/// late).
class OneThread {
 public:
  OneThread() : before_(holds_) { holds_ = true; }
  ~OneThread() { holds_ = before_; }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;
  static bool holds() { return holds_; }

 private:
  __attribute__((tls_model("initial-exec"))) static inline thread_local bool holds_ = false;
  bool before_;
};

inline int thread_count() {
#if defined(_OPENMP)
  return OneThread::holds() || omp_in_parallel() ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

/// What threads of a parallel region have thrown, for the thread that began it: an exception that leaves a region ends
/// the program. The first is kept.
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
  /// After the region: throws what is kept.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic_flag taken_;
  std::exception_ptr error_;
};

/// body(begin, end) over contiguous parts of [0, n), one a thread, each of at least `grain`. The parts depend on n,
/// grain and the number of threads alone. What a part throws is thrown after the others have ended.
template <class Body>
void parallel_ranges(std::int64_t n, std::int64_t grain, const Body& body) {
  if (n <= 0) return;
  const std::int64_t parts =
      std::min<std::int64_t>(thread_count(), std::max<std::int64_t>(1, n / std::max<std::int64_t>(1, grain)));
  if (parts <= 1) return body(std::int64_t{0}, n);
#if defined(_OPENMP)
  Thrown thrown;
#pragma omp parallel num_threads(static_cast <int>(parts))
  {
    const std::int64_t part = omp_get_thread_num(), count = omp_get_num_threads();
    const std::int64_t begin = n * part / count, end = n * (part + 1) / count;
    if (begin < end) thrown.guard([&] { body(begin, end); });
  }
  thrown.rethrow();
#endif
}

/// body(begin, end) over rows of `columns` elements each.
template <class Body>
void parallel_rows(std::int64_t rows, std::int64_t columns, const Body& body) {
  parallel_ranges(rows, std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, columns)), body);
}

}  // namespace otnfm::cpu
