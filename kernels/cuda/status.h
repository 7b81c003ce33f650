// Turns a CUDA status into a RunError that says what was being done.
#pragma once

#include <cuda_runtime.h>

#include <string>

#include "kernels/error.h"

namespace otnfm::cuda {

inline void require_success(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // clears it, so that the next call does not report it again
  throw RunError(std::string("CUDA failed while ") + doing + ": " + cudaGetErrorString(status));
}

}  // namespace otnfm::cuda
