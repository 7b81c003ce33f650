// Device memory behind kernels/memory.h.
#include "kernels/memory.h"

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/status.h"

namespace otnfm::cuda {

void* allocate(std::size_t bytes) {
  void* pointer = nullptr;
  const cudaError_t status = cudaMalloc(&pointer, bytes);
  if (status == cudaSuccess) return pointer;
  cudaGetLastError();
  if (status != cudaErrorMemoryAllocation) require_success(status, "allocating memory");
  return nullptr;
}

void deallocate(void* pointer) noexcept {
  cudaFree(pointer);
}

void* allocate_staging(std::size_t bytes) {
  void* pointer = nullptr;
  const cudaError_t status = cudaMallocHost(&pointer, bytes);
  if (status == cudaSuccess) return pointer;
  cudaGetLastError();
  if (status != cudaErrorMemoryAllocation) require_success(status, "allocating page-locked memory");
  return nullptr;
}

void deallocate_staging(void* pointer) noexcept {
  cudaFreeHost(pointer);
}

std::size_t free_bytes() {
  std::size_t free = 0, total = 0;
  require_success(cudaMemGetInfo(&free, &total), "asking for the free memory");
  return free;
}

void copy_bytes(Stream& stream, void* to, const void* from, std::size_t bytes) {
  require_success(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream.cuda()), "copying");
}

void zero_bytes(Stream& stream, void* to, std::size_t bytes) {
  require_success(cudaMemsetAsync(to, 0, bytes, stream.cuda()), "zeroing");
}

}  // namespace otnfm::cuda
