// y_i = image index_i, its pixels scaled from bytes to [-1, 1] (kernels/device/pixel.h). The n images stand for 2n:
// image n + k is the mirror of image k, left to right. A row whose index is outside of them becomes NaN.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct GatherImages {
  static constexpr const char* kName = "gather_images";
  View<const std::uint8_t> images;  // [n, H, W, C], contiguous; H W C is below 2^31
  View<const std::int64_t> index;   // [B], 0 to 2n - 1
  View<float> y;                    // [B, H W C]
};
OTNFM_DECLARE_OP(gather_images, GatherImages);

}  // namespace otnfm
