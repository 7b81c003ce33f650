#include "kernels/host/processor.h"

#include <cstdlib>
#include <string>

#include "kernels/error.h"

namespace otnfm::host {

const char* name_of(Processor processor) {
  switch (processor) {
    case Processor::portable:
      return "portable";
    case Processor::avx2:
      return "avx2";
    case Processor::avx512:
      return "avx512";
    case Processor::avx512_bf16:
      return "avx512_bf16";
  }
  return "unknown";
}

bool runs_here(Processor processor) {
#if defined(__x86_64__)
#if defined(OTNFM_NO_AVX512)
  const bool avx512 = false;  // nothing is compiled for it
#else
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
#endif
  switch (processor) {
    case Processor::portable:
      return true;
    case Processor::avx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    case Processor::avx512:
      return avx512;
    case Processor::avx512_bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16") != 0;
  }
  return false;
#else
  return processor == Processor::portable;
#endif
}

Processor processor() {
  static const Processor chosen = [] {
    int most = static_cast<int>(Processor::avx512_bf16);
    if (const char* name = std::getenv("OTNFM_PROCESSOR"); name != nullptr && *name != '\0') {
      while (most >= 0 && std::string(name) != name_of(static_cast<Processor>(most))) --most;
      if (most < 0)
        throw InputError(std::string("OTNFM_PROCESSOR is '") + name +
                         "': wanted portable, avx2, avx512 or avx512_bf16");
    }
    while (!runs_here(static_cast<Processor>(most))) --most;
    return static_cast<Processor>(most);
  }();
  return chosen;
}

}  // namespace otnfm::host
