#define OTNFM_PROCESSOR portable
#define OTNFM_VECTOR_BYTES 16
#include "kernels/cpu/loops/table.h"

namespace otnfm::cpu::portable {

extern const Loops kLoops;
const Loops kLoops = table();

}  // namespace otnfm::cpu::portable
