// What the files behind simt_runtime.h share.
#pragma once

#include <cstddef>

#include "simt.h"

namespace simt {

/// Remembers an error for cudaGetLastError, and returns it.
cudaError_t report(cudaError_t error);

bool is_capturing(cudaStream_t stream);

/// Spoils the capture that the stream takes part in.
cudaError_t forbid_in_capture(cudaStream_t stream);

/// What CUDA forbids a thread while it captures: allocation, synchronous copies, waiting. cudaSuccess where it does
/// not.
cudaError_t forbid_in_capture();

inline constexpr std::size_t kDeviceBytes = std::size_t{4} << 30;
inline constexpr std::size_t kDefaultSharedBytes = 48 << 10, kMaxSharedBytes = 227 << 10;

}  // namespace simt
