#if defined(__x86_64__)
#define OTNFM_PROCESSOR avx2
#define OTNFM_VECTOR_BYTES 32
#include "kernels/cpu/resnet_flow/table.h"
#endif
