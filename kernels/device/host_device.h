// OTNFM_HD marks what compiles for the host and the device alike. Everything under kernels/device/ that both backends
// share (activations, AdamW, random numbers) is written once with it, so that the backends differ in their loops only.
#pragma once

#if defined(__CUDACC__)
#define OTNFM_HD __host__ __device__ __forceinline__
#else
#define OTNFM_HD inline __attribute__((always_inline))
#endif

// 1 inside code that a GPU runs (nvcc's device pass); 0 on the host and under simt.
#if defined(__CUDA_ARCH__)
#define OTNFM_ON_GPU 1
#else
#define OTNFM_ON_GPU 0
#endif
