#define OTNFM_PROCESSOR portable
#define OTNFM_VECTOR_BYTES 16
#include "ot/loops/table.h"
