// How many threads the parallel loops of kernels/cpu/parallel.h take in a scope.
#pragma once

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace otnfm {

/// While it lives, loops that this thread starts take at most `threads` threads; 0 changes nothing.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads) {
#if defined(_OPENMP)
    before_ = omp_get_max_threads();
    if (threads > 0) omp_set_num_threads(threads);
#else
    (void)threads;
#endif
  }
  ~ThreadLimit() {
#if defined(_OPENMP)
    omp_set_num_threads(before_);
#endif
  }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

#if defined(_OPENMP)
 private:
  int before_;
#endif
};

}  // namespace otnfm
