#include "kernels/cpu/loops/loops.h"

namespace otnfm::cpu {
namespace portable {
extern const Loops kLoops;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Loops kLoops;
}
#if !defined(OTNFM_NO_AVX512)
namespace avx512 {
extern const Loops kLoops;
}
#endif
#endif

const host::PerProcessor<Loops>& all_loops() {
#if defined(__x86_64__) && !defined(OTNFM_NO_AVX512)
  static const host::PerProcessor<Loops> all = {&portable::kLoops, &avx2::kLoops, &avx512::kLoops, nullptr};
#elif defined(__x86_64__)
  static const host::PerProcessor<Loops> all = {&portable::kLoops, &avx2::kLoops, nullptr, nullptr};
#else
  static const host::PerProcessor<Loops> all = {&portable::kLoops, nullptr, nullptr, nullptr};
#endif
  return all;
}

const Loops& loops() {
  static const Loops& chosen = host::choose(all_loops(), host::processor());
  return chosen;
}

}  // namespace otnfm::cpu
