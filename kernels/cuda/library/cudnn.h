// cuDNN 9, and the only file that knows of it. Under simt, tests/simt/library.cpp answers for it.
#pragma once

#include "kernels/conv2d.h"

namespace otnfm::cuda::cudnn {

enum class Kind : std::uint8_t { forward, backward_data, backward_weight };

/// A convolution of kernels/conv2d.h as the library takes it, and the key under which its plan is kept. All sizes are
/// at least 1.
struct Convolution {
  Kind kind = Kind::forward;
  DType dtype = DType::float32;         ///< of the operands (float32, bfloat16)
  DType result_dtype = DType::float32;  ///< of the result; bias is float32, added as the result
  bool bias = false, added = false;     ///< forward alone
  std::int64_t B = 1, H = 1, W = 1, C = 1, O = 1, k = 1, stride = 1;

  std::int64_t rows() const { return (H + stride - 1) / stride; }
  std::int64_t columns() const { return (W + stride - 1) / stride; }
  bool operator==(const Convolution&) const = default;

  std::size_t hash() const {
    std::uint64_t h = static_cast<std::uint64_t>(kind) << 24 ^ static_cast<std::uint64_t>(dtype) << 16 ^
                      static_cast<std::uint64_t>(result_dtype) << 8 ^ std::uint64_t{bias} << 1 ^ std::uint64_t{added};
    for (std::int64_t word : {B, H, W, C, O, k, stride})
      h = (h ^ static_cast<std::uint64_t>(word)) * 0x9e3779b97f4a7c15u, h ^= h >> 32;
    return static_cast<std::size_t>(h);
  }
};

/// Where the five tensors are: image [B, H, W, C], weight [O, k, k, C], result [B, H', W', O], whichever of them the
/// kind writes; bias [O] and added where they are wanted. Each starts at a multiple of 16 bytes.
struct Operands {
  const void *image, *weight, *result, *bias = nullptr, *added = nullptr;
};

/// Puts it on the stream. False, and nothing done, where the library has no engine for it that is deterministic and as
/// precise as kernels/conv2d.h says (bfloat16 with an odd number of channels and a float32 result, say). A shape that
/// the stream has not seen costs the choice of an engine, which for fused ones compiles a kernel (some tenths of a
/// second), and may allocate; from then on it can be captured. The first of all loads the library, RunError where it is
/// not there.
bool convolve(Stream& stream, const Convolution& n, const Operands& operands);

/// Of what Stream::dnn() holds.
void close(void* handle) noexcept;

}  // namespace otnfm::cuda::cudnn
