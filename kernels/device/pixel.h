// The numbers that the bytes of an image stand for.
#pragma once

#include <cstdint>

#include "kernels/device/host_device.h"

namespace otnfm {

/// 0 .. 255 to [-1, 1]. The quotient and the difference are each rounded once, so that all backends agree bit for bit.
OTNFM_HD float scale_pixel(float pixel) {
  return pixel / 127.5f - 1.0f;
}
OTNFM_HD float value_of_pixel(std::uint8_t pixel) {
  return scale_pixel(static_cast<float>(pixel));
}

}  // namespace otnfm
