// What tests, and the stand-ins for NVIDIA's libraries, use of the shim directly.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <stdexcept>

namespace simt {

/// A kernel broke a rule of CUDA: a divergent barrier, a lane that left before a shuffle, masks that disagree, a
/// deadlock. The text names kernel, block and thread. It is thrown out of the launch (or of cudaGraphLaunch).
struct Error : std::logic_error {
  using std::logic_error::logic_error;
};

/// The order of threads and blocks from here on, on every host thread. The environment's OTNFM_SIMT_SEED is the first
/// one, else 0.
void set_seed(std::uint64_t seed);

/// Puts work of the host on a stream: it runs now or, while the stream captures, at each replay. For stand-ins of
/// library calls: `work` must hold copies of its arguments.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work);

}  // namespace simt
