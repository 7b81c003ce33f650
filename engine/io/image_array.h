// Images in an array file: uint8 [n, H, W] or [n, H, W, C], or floating numbers [n, H, W, C]; C is 1 or 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/io/npy.h"

namespace otnfm {

/// Of `pixels` and `values` one is empty; both are [count, height, width, channels].
struct ImageArray {
  std::vector<std::byte> pixels;  ///< 0 is black, 255 white
  std::vector<float> values;      ///< as they are
  std::int64_t count = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;
};

/// Whether an array has the rank of images, 3 or 4.
bool has_rank_of_images(const NpyArray& array);

/// The images of an array that was read with its bytes kept (NpyBytes), whose memory goes on to hold them. InputError,
/// which begins with `spec`, for another shape or type, and where a number is too large for float32.
ImageArray images_of(NpyArray array, const std::string& spec);

}  // namespace otnfm
