// MNIST's IDX files, plain or gzip-compressed (told apart by content): bytes 0, 0, the element type, the rank, then one
// big-endian 32-bit size an axis, then the elements. Format: http://yann.lecun.com/exdb/mnist/. Only unsigned bytes are
// read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace otnfm {

/// The most that one IDX file may unpack to: 2 GiB.
inline constexpr std::int64_t kMaxIdxBytes = std::int64_t{2} << 30;

struct IdxImages {
  std::vector<std::uint8_t> pixels;  ///< [count, rows, columns], 0 is black
  std::int64_t count = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// A rank-3 file. InputError that names the path and the value; so below.
IdxImages read_idx_images(const std::filesystem::path& path);

/// A rank-1 file.
std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path);

enum class Split { train, test };

struct Mnist {
  IdxImages images;
  std::vector<std::uint8_t> labels;  ///< one an image; empty where the folder has no labels
};

/// train-images-idx3-ubyte or t10k-images-idx3-ubyte and their labels, plain or .gz, also spelled images.idx3-ubyte.
/// Any data set in MNIST's files will do (Fashion-MNIST, KMNIST). InputError where there are no images, or not as many
/// labels.
Mnist load_mnist(const std::filesystem::path& folder, Split split);

}  // namespace otnfm
