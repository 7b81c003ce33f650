// PNG, read by libpng: 8-bit grey or RGB. A folder of files of one size is a set of images.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/io/image.h"

namespace otnfm {

/// The image that a file's bytes hold: its pixels as they are stored, whatever gamma or colour profile stands beside
/// them. InputError, which begins with `name`, for what is no PNG or is damaged, has 16 bits a channel or fewer than 8,
/// a palette or transparency, or declares more pixels than its bytes can hold.
Image decode_png(std::span<const std::byte> bytes, const std::string& name);

/// Images of one size.
struct PngImages {
  std::vector<std::uint8_t> pixels;  ///< [count, height, width, channels]; one channel is grey, three are RGB
  std::int64_t count = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;
};

/// The files of a folder that end in .png or .PNG and do not begin with a dot, in the order of their names' bytes; what
/// else is there is left alone. InputError that names the file: as of decode_png(), and for an image of another size
/// than the first one's; that names the folder where it holds no such file. Memory is taken for the pixels, and for a
/// file's bytes a thread.
PngImages read_png_folder(const std::filesystem::path& folder);

}  // namespace otnfm
