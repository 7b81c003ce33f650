// What the files of this folder share of oneDNN: its engine, the thread's stream, and its one thread.
#pragma once

#include <dnnl.hpp>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace otnfm::cpu::onednn {

/// Made at the first call, after the library was told which instructions it may use.
const dnnl::engine& cpu_engine();

/// The calling thread's.
dnnl::stream& queue();

/// oneDNN asks OpenMP how many threads there are.
class OneLibraryThread {
 public:
  OneLibraryThread() {
#if defined(_OPENMP)
    if (omp_in_parallel()) return;
    before_ = omp_get_max_threads();
    if (before_ > 1) omp_set_num_threads(1);
#endif
  }
  ~OneLibraryThread() {
#if defined(_OPENMP)
    if (before_ > 1) omp_set_num_threads(before_);
#endif
  }
  OneLibraryThread(const OneLibraryThread&) = delete;
  OneLibraryThread& operator=(const OneLibraryThread&) = delete;

 private:
  int before_ = 1;
};

}  // namespace otnfm::cpu::onednn
