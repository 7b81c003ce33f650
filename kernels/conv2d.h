// y = x * weight + bias (+ added): the convolution of images, cross-correlation as the field means it, with k / 2 zeros
// around the image. A 3x3 convolution of C to O channels is 18 B H' W' C O FLOPs for 4 (B H W C + B H' W' O) bytes:
// bound by arithmetic from some 16 channels on. On both devices a library convolves (oneDNN, cuDNN).
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct Conv2d {
  static constexpr const char* kName = "conv2d";
  View<const Stored> x;           // [B, H, W, C]
  View<const Stored> weight;      // [O, k, k, C], k is 1 or 3; stored as x is
  View<const float> bias;         // [O], or no memory: no bias
  View<const Stored> added = {};  // [B, H', W', O], added to the result, stored as y is; or no memory
  View<Stored> y;                 // [B, H', W', O], H' = ceil(H / stride); stored as x is, or float32
  std::int64_t stride = 1;        // 1 or 2
};
OTNFM_DECLARE_OP(conv2d, Conv2d);

/// Given dy: dx. (The gradient of `added` is dy.)
struct Conv2dBackwardData {
  static constexpr const char* kName = "conv2d_backward_data";
  View<const Stored> dy;      // [B, H', W', O], stored as weight is
  View<const Stored> weight;  // [O, k, k, C]
  View<Stored> dx;            // [B, H, W, C], stored as dy is
  std::int64_t stride = 1;
};
OTNFM_DECLARE_OP(conv2d_backward_data, Conv2dBackwardData);

/// Given dy: dweight and dbias, sums over all images in an order that does not depend on the number of threads.
struct Conv2dBackwardWeight {
  static constexpr const char* kName = "conv2d_backward_weight";
  View<const Stored> x;   // [B, H, W, C]
  View<const Stored> dy;  // [B, H', W', O], stored as x is
  View<float> dweight;    // [O, k, k, C]
  View<float> dbias;      // [O], or no memory: not wanted
  std::int64_t stride = 1;
};
OTNFM_DECLARE_OP(conv2d_backward_weight, Conv2dBackwardWeight);

}  // namespace otnfm
