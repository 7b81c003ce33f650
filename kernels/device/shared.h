// Shared memory of a block, declared at the top of a kernel or of a device function:
//     SHARED_ARRAY(float, tile, 256);            // float tile[256]
//     SHARED_ARRAY_2D(float, tile, 32, 33);      // float tile[32][33]
//     SHARED_DYNAMIC(float, row);                // float* row: the launch's shared_bytes, one such pointer a kernel
// All start at 16 bytes, so that groups of 16 bytes (vector.h) may be loaded from them; none is initialised. By macro
// and not by __shared__, because simt gives each array heap of its exact size for each block: AddressSanitizer is blind
// to overruns of statics, not to those of the heap.
#pragma once

#include <cuda_runtime.h>

#if OTNFM_SIMT

#define SHARED_ARRAY(T, name, N)    \
  static const char name##_key = 0; \
  T(&name)[N] = *static_cast<T(*)[N]>(::simt::shared_array(&name##_key, sizeof(T) * (N)))
#define SHARED_ARRAY_2D(T, name, R, C) \
  static const char name##_key = 0;    \
  T(&name)[R][C] = *static_cast<T(*)[R][C]>(::simt::shared_array(&name##_key, sizeof(T) * (R) * (C)))
#define SHARED_DYNAMIC(T, name) T* const name = static_cast<T*>(::simt::shared_dynamic())

#else

#define SHARED_ARRAY(T, name, N) alignas(16) __shared__ T name[N]
#define SHARED_ARRAY_2D(T, name, R, C) alignas(16) __shared__ T name[R][C]
#define SHARED_DYNAMIC(T, name)                                 \
  extern __shared__ __align__(16) unsigned char name##_bytes[]; \
  T* const name = reinterpret_cast<T*>(name##_bytes)

#endif
