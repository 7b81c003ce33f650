#define OTNFM_PROCESSOR portable
#define OTNFM_VECTOR_BYTES 16
#include "ot/loops/table.h"

namespace otnfm::portable {

extern const Loops kLoops;
const Loops kLoops = table();

}  // namespace otnfm::portable
