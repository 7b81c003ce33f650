// cuBLASLt, and the only file that knows of it. Under simt, tests/simt/library.cpp answers for it.
#pragma once

#include "kernels/gemm.h"

namespace otnfm::cuda::cublas {

/// What Stream::blas() gives.
void* open();
void close(void* handle) noexcept;

/// g without its activation (which must be identity), for batch, m, n, k >= 1, on the stream; with g.bias, c is
/// float32, and `bias` and the rows of c have to be 16-byte aligned. Scratch memory is the stream's workspace. A shape
/// and alignment that the stream has not seen costs a choice of algorithm on the host, some 50 us; nothing waits for
/// the device.
void gemm(Stream& stream, const Gemm& g, const void* a, const void* b, const float* bias, void* c);

}  // namespace otnfm::cuda::cublas
