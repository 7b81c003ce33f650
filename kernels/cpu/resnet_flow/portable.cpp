#define OTNFM_PROCESSOR portable
#define OTNFM_VECTOR_BYTES 16
#include "kernels/cpu/resnet_flow/table.h"
