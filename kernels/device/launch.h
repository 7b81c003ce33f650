// The one way to launch a kernel, under nvcc and under simt alike:
//     launch(kernel, grid, block, shared_bytes, stream, arguments...);
// A refused launch throws RunError that names the kernel and the line. `<<< >>>` is not used: cudaLaunchKernelEx
// returns the status of this very launch, while cudaGetLastError may return that of an earlier call.
#pragma once

#include <cuda_runtime.h>
#include <cxxabi.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <source_location>
#include <string>
#include <utility>

#include "kernels/error.h"

namespace otnfm {

/// Shared memory that every kernel may have; above it launch() asks for more (an H100 allows 227 KiB a block).
inline constexpr std::size_t kDefaultDynamicSharedBytes = 48 << 10;

/// Two waves of 256-thread blocks on the 132 multiprocessors of an H100. A constant and not a query of the device, so
/// that a reduction's partial sums, and with them its rounding, are the same on every device.
inline constexpr std::int64_t kMaxStridedBlocks = 2 * 8 * 132;

/// Blocks for a grid-stride loop over n elements: enough for one element a thread, at most `cap`. 0 where n is 0
/// (launch() then does nothing).
constexpr std::int64_t grid_for(std::int64_t n, int block, std::int64_t cap = kMaxStridedBlocks) {
  return n <= 0 ? 0 : std::min((n - 1) / block + 1, cap);
}

/// A grid (a number of blocks, or a dim3) and the line that launches it.
struct Grid {
  dim3 size;
  bool fits = true;
  std::source_location where;

  template <std::integral Count>
  Grid(Count blocks, std::source_location line = std::source_location::current())
      : size(static_cast<unsigned>(blocks)),
        fits(std::cmp_greater_equal(blocks, 0) &&
             std::cmp_less_equal(blocks, std::numeric_limits<std::int32_t>::max())),
        where(line) {}
  Grid(dim3 blocks, std::source_location line = std::source_location::current()) : size(blocks), where(line) {}
};

[[noreturn]] inline void fail_launch(const void* kernel, const Grid& grid, dim3 block, std::size_t shared_bytes,
                                     const char* reason) {
  const char* symbol = nullptr;
  std::string name = "a kernel";
  if (cudaFuncGetName(&symbol, kernel) == cudaSuccess && symbol) {
    int status = 0;
    char* readable = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
    name = readable ? readable : symbol;
    std::free(readable);
  }
  cudaGetLastError();  // clears it, so that the next call does not report it again
  const auto text = [](dim3 d) { return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z); };
  throw RunError("CUDA failed while launching " + name + " at " + grid.where.file_name() + ":" +
                 std::to_string(grid.where.line()) + " (grid " + text(grid.size) + ", block " + text(block) + ", " +
                 std::to_string(shared_bytes) + " bytes of shared memory): " + reason);
}

/// Puts the kernel on the stream and returns at once. A grid without blocks launches nothing. The arguments are copied
/// (and converted to the kernel's parameter types) now, also while a graph is captured.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), Grid grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "as many arguments as the kernel has parameters");
  const void* const address = reinterpret_cast<const void*>(kernel);
  if (!grid.fits) fail_launch(address, grid, block, shared_bytes, "the number of blocks is out of range");
  if (grid.size.x == 0 || grid.size.y == 0 || grid.size.z == 0) return;
  cudaError_t status = cudaSuccess;
  if (shared_bytes > kDefaultDynamicSharedBytes)
    status = cudaFuncSetAttribute(address, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
  if (status == cudaSuccess) {
    cudaLaunchConfig_t configuration = {};
    configuration.gridDim = grid.size;
    configuration.blockDim = block;
    configuration.dynamicSmemBytes = shared_bytes;
    configuration.stream = stream;
    status = cudaLaunchKernelEx(&configuration, kernel, std::forward<Arguments>(arguments)...);
  }
  if (status != cudaSuccess) fail_launch(address, grid, block, shared_bytes, cudaGetErrorString(status));
}

}  // namespace otnfm
