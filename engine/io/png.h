// PNG, written by libpng: 8-bit grey or RGB.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "engine/io/image.h"

namespace otnfm {

/// The file's bytes. InputError where the image has no pixels, or channels other than 1 and 3.
std::vector<std::byte> encode_png(const Image& image);

/// Atomically.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace otnfm
