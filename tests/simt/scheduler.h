// The blocks of a grid, one after another on the calling thread; the threads of a block as fibers, which change over at
// barriers and at warp collectives only. Which fiber goes next, and the order of the blocks, is drawn from a seed, so
// that a kernel which depends on it gives another answer under another seed.
//
// What the device code sees of it is below; tests see simt.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>

#include "simt_types.h"

// Set by the scheduler whenever it changes over. One set a host thread: two host threads may run kernels at once.
extern thread_local constinit uint3 threadIdx;
extern thread_local constinit uint3 blockIdx;
extern thread_local constinit dim3 blockDim;
extern thread_local constinit dim3 gridDim;
inline constexpr int warpSize = 32;

namespace simt {

using Location = std::source_location;

struct Launch {
  const void* kernel;  // names it in messages
  dim3 grid, block;
  std::size_t dynamic_shared_bytes;
  std::function<void()> body;  // one thread's call of the kernel
};

/// Runs the whole grid. Throws simt::Error where the kernel breaks a rule.
void run(const Launch& launch);

/// The function's name, as far as the sanitizer's symbolizer or the dynamic symbol table tells.
const char* name_of_kernel(const void* kernel);

/// __syncthreads and its kin: how many threads passed a predicate that is not 0.
int barrier(bool predicate, Location where);

enum class Shuffle { index, up, down, exclusive_or };

/// The lane's value of the chosen source lane, as __shfl_*_sync defines it.
std::uint64_t shuffle(unsigned mask, Shuffle kind, std::uint64_t value, int argument, int width, Location where);
unsigned ballot(unsigned mask, bool predicate, Location where);
void sync_warp(unsigned mask, Location where);

/// The calling lane alone: CUDA promises no more of __activemask than that it contains the caller.
unsigned active_mask();

/// A __threadfence makes this thread's later atomics acquire and release; without one they are relaxed, as on the GPU.
void fence();
bool fenced();

/// The block's array of this declaration, the same for every thread; its bytes start as 0xFF (a NaN).
void* shared_array(const void* declaration, std::size_t bytes);
void* shared_dynamic();

/// Ends the kernel with simt::Error: "kernel K, block (x, y, z), thread (x, y, z): what".
[[noreturn]] void stop(const char* what, Location where = Location::current());

}  // namespace simt
