#include "engine/io/image_array.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/io/array_file.h"
#include "engine/io/text.h"

namespace otnfm {

bool has_rank_of_images(const NpyArray& array) {
  return array.shape.size() == 3 || array.shape.size() == 4;
}

ImageArray images_of(NpyArray array, const std::string& spec) {
  const std::string shape = shape_text(array.shape);
  const bool whole = array.dtype == DType::int32 || array.dtype == DType::int64;
  if (!has_rank_of_images(array) || (array.shape.size() == 3 && array.dtype != DType::uint8))
    fail_input(spec, fmt::format("its shape is {}: wanted images, uint8 [n, H, W] or [n, H, W, C] or floating numbers "
                                 "[n, H, W, C], or points [n, d]",
                                 shape));
  if (whole) fail_input(spec, fmt::format("its images {} are whole numbers: wanted uint8 or floating numbers", shape));
  ImageArray images{.pixels = {},
                    .values = {},
                    .count = array.shape[0],
                    .height = array.shape[1],
                    .width = array.shape[2],
                    .channels = array.shape.size() == 3 ? 1 : array.shape[3]};
  if (images.channels != 1 && images.channels != 3) {
    const bool planes = array.shape[1] == 1 || array.shape[1] == 3;
    fail_input(spec, fmt::format("its images {} have {} channels: wanted 1 or 3{}", shape, images.channels,
                                 planes ? ", behind height and width" : ""));
  }
  // Sizes beside a 0 say nothing of the file's.
  if (std::ranges::min(array.shape) < 1) fail_input(spec, fmt::format("its shape is {}: it holds no data", shape));
  if (images.height > ((std::int64_t{1} << 31) - 1) / images.channels / images.width)
    fail_input(spec, fmt::format("its images {} are larger than 2 GiB", shape));
  if (array.dtype == DType::uint8) {
    images.pixels = std::move(array.bytes);
    return images;
  }
  array.shape = {images.count, images.height * images.width * images.channels};
  images.values = matrix_float_of(array, spec).values;
  return images;
}

}  // namespace otnfm
