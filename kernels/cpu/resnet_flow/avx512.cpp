// AVX-512 as in x86-64-v4; compiled for it whatever the rest is compiled for.
#if defined(__x86_64__) && !defined(OTNFM_NO_AVX512)
#define OTNFM_VECTOR_BYTES 64
#define OTNFM_PROCESSOR avx512
#include "kernels/cpu/resnet_flow/tile.h"

namespace otnfm::cpu::resnet {

extern const Variant kAvx512;
const Variant kAvx512 = {"avx512", avx512::forward, avx512::backward, avx512::pack, avx512::round};

}  // namespace otnfm::cpu::resnet
#endif
