#include "engine/io/png.h"

#include <fmt/format.h>
#include <png.h>

#include "engine/io/atomic_file.h"
#include "kernels/error.h"

namespace otnfm {

std::vector<std::byte> encode_png(const Image& image) {
  if (image.width <= 0 || image.height <= 0 || (image.channels != 1 && image.channels != 3) ||
      image.pixels.size() != static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) *
                                 static_cast<std::size_t>(image.channels))
    throw InputError(fmt::format("an image of {} x {} with {} channels and {} bytes cannot be written as PNG",
                                 image.width, image.height, image.channels, image.pixels.size()));
  // libpng's simplified interface: it reports errors by its result, where the full one would longjmp over destructors.
  png_image description{};
  description.version = PNG_IMAGE_VERSION;
  description.width = static_cast<png_uint_32>(image.width);
  description.height = static_cast<png_uint_32>(image.height);
  description.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(description);
  std::vector<std::byte> bytes(size);
  if (!png_image_write_to_memory(&description, bytes.data(), &size, 0, image.pixels.data(), 0, nullptr))
    throw RunError(
        fmt::format("libpng could not encode an image of {} x {}: {}", image.width, image.height, description.message));
  bytes.resize(size);
  return bytes;
}

void write_png(const std::filesystem::path& path, const Image& image) {
  write_file(path, encode_png(image));
}

}  // namespace otnfm
