#if defined(__x86_64__) && !defined(OTNFM_NO_AVX512)
#define OTNFM_PROCESSOR avx512
#define OTNFM_VECTOR_BYTES 64
#include "kernels/cpu/loops/table.h"
#endif
