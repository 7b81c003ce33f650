// Convolutions by oneDNN, of images in the layout [B, H, W, C] and weights [O, k, k, C] (kernels/conv2d.h).
#pragma once

#include "kernels/view.h"

namespace otnfm::cpu::onednn {

/// What is convolved: all sizes at least 1, k 1 or 3, stride 1 or 2.
struct Convolution {
  DType dtype = DType::float32;         ///< of x, weight, dx and the dy of the backward (float32, bfloat16)
  DType result_dtype = DType::float32;  ///< of y: dtype, or float32
  bool bias = false;                    ///< forward; backward by the weights: dbias is wanted
  bool added = false;                   ///< forward: to what y holds
  std::int64_t B = 1, H = 1, W = 1, C = 1, O = 1, k = 1, stride = 1;

  std::int64_t rows() const { return (H + stride - 1) / stride; }
  std::int64_t columns() const { return (W + stride - 1) / stride; }
  std::int64_t image_size() const { return H * W * C; }
  std::int64_t result_size() const { return rows() * columns() * O; }
  std::int64_t weight_size() const { return O * k * k * C; }
  bool operator==(const Convolution&) const = default;
};

// All of them allocate for a shape that this thread has not seen. An image's result does not depend on the number of
// threads; in float32 it does not depend on the other images either.

/// y = x * weight + bias (+ added, which may be y, or no memory: none)
void convolve(const Convolution& n, const void* x, const void* weight, const float* bias, const void* added, void* y);
void convolve_backward_data(const Convolution& n, const void* dy, const void* weight, void* dx);
/// The same bits for any number of threads. dbias: null where n.bias is false.
void convolve_backward_weight(const Convolution& n, const void* x, const void* dy, float* dweight, float* dbias);

}  // namespace otnfm::cpu::onednn
