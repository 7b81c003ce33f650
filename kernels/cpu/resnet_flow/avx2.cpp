// AVX2 and FMA; compiled for x86-64-v3 whatever the rest is compiled for.
#if defined(__x86_64__)
#define OTNFM_VECTOR_BYTES 32
#define OTNFM_PROCESSOR avx2
#include "kernels/cpu/resnet_flow/tile.h"

namespace otnfm::cpu::resnet {

extern const Variant kAvx2;
const Variant kAvx2 = {"avx2", avx2::forward, avx2::backward, avx2::pack, avx2::round};

}  // namespace otnfm::cpu::resnet
#endif
