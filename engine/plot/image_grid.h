// A sheet of small images, as one shows samples of an image model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/io/image.h"
#include "kernels/view.h"

namespace otnfm {

struct ImageGrid {
  std::vector<std::int64_t> shape = {};  ///< [height, width, channels], 1 channel (grey) or 3 (RGB)
  int columns = 0;                       ///< images a row; 0 makes the sheet about square
  int scale = 0;             ///< screen pixels a pixel; 0 chooses it so that an image is about 64 screen pixels wide
  std::string caption = {};  ///< a line above; may be empty
};

/// `images` [n, height * width * channels] with values in [-1, 1], black to full; values beyond are clamped and NaN is
/// drawn in magenta, a colour that asks for attention. n = 0 gives an empty sheet. InputError where shapes disagree or
/// the sheet would exceed 20,000 pixels a side.
Image draw_image_grid(View<const float> images, const ImageGrid& options);

}  // namespace otnfm
