// What kernels/stream.cpp and kernels/memory.cpp ask of CUDA. No header that others see includes it.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/stream.h"

namespace otnfm::cuda {

// --- kernels/cuda/stream.cu

bool available(std::string* reason);
std::string describe_device();
CUstream_st* open_stream();
void close_stream(CUstream_st* stream) noexcept;
void synchronize(CUstream_st* stream);
void begin_capture(CUstream_st* stream);
void* end_capture(CUstream_st* stream);
void abandon_capture(CUstream_st* stream) noexcept;
void launch_graph(void* graph, CUstream_st* stream);
void destroy_graph(void* graph) noexcept;
void* open_fence();
void close_fence(void* fence) noexcept;
void set_fence(void* fence, CUstream_st* stream);
void wait_for_fence(void* fence);

// --- kernels/cuda/memory.cu

void* allocate(std::size_t bytes);  // null where there is not enough
void deallocate(void* pointer) noexcept;
void* allocate_staging(std::size_t bytes);  // null where there is not enough
void deallocate_staging(void* pointer) noexcept;
std::size_t free_bytes();
void copy_bytes(Stream& stream, void* to, const void* from, std::size_t bytes);
void zero_bytes(Stream& stream, void* to, std::size_t bytes);

}  // namespace otnfm::cuda
