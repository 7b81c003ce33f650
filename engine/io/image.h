// A picture in memory: 8 bits a channel, sRGB.
#pragma once

#include <cstdint>
#include <vector>

namespace otnfm {

struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;                  ///< 1 grey, 3 RGB
  std::vector<std::uint8_t> pixels;  ///< [height, width, channels]

  Image() = default;
  Image(int width, int height, int channels)
      : width(width),
        height(height),
        channels(channels),
        pixels(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
               static_cast<std::size_t>(channels)) {}
};

}  // namespace otnfm
