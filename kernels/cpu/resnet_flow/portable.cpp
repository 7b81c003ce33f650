// Vectors of 4 floats in the compiler's own terms: SSE, NEON, or whatever there is.
#define OTNFM_VECTOR_BYTES 16
#define OTNFM_PROCESSOR portable
#include "kernels/cpu/resnet_flow/tile.h"

namespace otnfm::cpu::resnet {

extern const Variant kPortable;
const Variant kPortable = {"portable", portable::forward, portable::backward, portable::pack, portable::round};

}  // namespace otnfm::cpu::resnet
