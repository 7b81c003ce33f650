// Which backend runs an op. Only the .cpp files of kernels/ include this, so that no other header, and no code outside
// of kernels/, depends on whether CUDA is built in.
#pragma once

#include "kernels/op.h"

namespace otnfm {

inline constexpr bool kHaveCuda = OTNFM_HAVE_CUDA != 0;

}  // namespace otnfm

// In a build without CUDA the discarded branch is not odr-used, so nothing of kernels/cuda has to exist.
#define OTNFM_DISPATCH_OP(function, Arguments)                \
  void function(Stream& stream, const Arguments& a) {         \
    if (stream.checks_arguments()) check(a);                  \
    if constexpr (kHaveCuda)                                  \
      if (stream.on_cuda()) return cuda::function(stream, a); \
    cpu::function(stream, a);                                 \
  }                                                           \
  static_assert(Arguments::kName != nullptr)
