// CIFAR-10, binary version: records of one label byte and 3,072 bytes, the red, green and blue planes of 32 x 32
// pixels, each row-major. Format: https://www.cs.toronto.edu/~kriz/cifar.html.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/io/idx.h"

namespace otnfm {

struct Cifar10 {
  static constexpr std::int64_t kChannels = 3, kHeight = 32, kWidth = 32, kPixels = kChannels * kHeight * kWidth;

  std::vector<std::uint8_t> pixels;  ///< [count, 32, 32, 3]: a file's planes, turned
  std::vector<std::uint8_t> labels;  ///< [count], 0 to 9
  std::int64_t count = 0;
};

/// The records of one file, at most 1 GiB. InputError that names the path and the value; so below.
Cifar10 read_cifar10_batch(const std::filesystem::path& path);

/// data_batch_1.bin to data_batch_5.bin, or test_batch.bin, of `folder` or of its subfolder cifar-10-batches-bin.
Cifar10 load_cifar10(const std::filesystem::path& folder, Split split);

}  // namespace otnfm
