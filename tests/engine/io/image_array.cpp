#include "engine/io/image_array.h"

#include "engine/io/array_file.h"
#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::expect_input_error;
using testing::put;
using testing::TemporaryFolder;

class ImageArrayFile : public ::testing::Test {
 protected:
  template <class T>
  void write(std::initializer_list<std::int64_t> shape) {
    std::vector<T> values(24);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i + 1);
    write_npy(path, View<const T>(values.data(), shape));
  }
  ImageArray read() const { return images_of(read_array(path.string(), kMaxFileBytes, NpyBytes::kept), path.string()); }
  void refuse(std::string_view words) const {
    expect_input_error(path, words, [&] { (void)read(); });
  }

  TemporaryFolder folder;
  std::filesystem::path path = folder / "a.npy";
};

TEST_F(ImageArrayFile, KeepsBytes) {
  write<std::uint8_t>({2, 3, 4});
  ImageArray images = read();
  EXPECT_EQ(images.count, 2);
  EXPECT_EQ(images.height, 3);
  EXPECT_EQ(images.width, 4);
  EXPECT_EQ(images.channels, 1);
  EXPECT_TRUE(images.values.empty());
  ASSERT_EQ(images.pixels.size(), 24u);
  for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(static_cast<std::size_t>(images.pixels[i]), i + 1);
  write<std::uint8_t>({2, 2, 2, 3});
  images = read();
  EXPECT_EQ(images.channels, 3);
  EXPECT_EQ(images.pixels.size(), 24u);
}

TEST_F(ImageArrayFile, TakesFloatingNumbersAsTheyAre) {
  for (const bool wide : {false, true}) {
    if (wide)
      write<double>({2, 2, 2, 3});
    else
      write<float>({2, 2, 2, 3});
    const ImageArray images = read();
    EXPECT_TRUE(images.pixels.empty());
    ASSERT_EQ(images.values.size(), 24u);
    EXPECT_EQ(images.values[23], 24.0f);
    EXPECT_EQ(images.channels, 3);
  }
}

TEST_F(ImageArrayFile, TurnsFortranOrder) {
  const std::string header = "{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2, 3), }\n";
  put(path, std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size()) + '\0' + header + "adbecf");
  const std::vector<std::byte> pixels = read().pixels;
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(pixels.data()), pixels.size()), "abcdef");
}

TEST_F(ImageArrayFile, NamesWhatItRefuses) {
  write<std::uint8_t>({2, 3, 2, 2});
  refuse("have 2 channels: wanted 1 or 3, behind height and width");
  write<std::uint8_t>({1, 6, 1, 4});
  refuse("[1, 6, 1, 4] have 4 channels: wanted 1 or 3");
  write<float>({2, 3, 4});
  refuse("its shape is [2, 3, 4]: wanted images, uint8 [n, H, W]");
  write<std::int64_t>({2, 3, 4, 1});
  refuse("are whole numbers: wanted uint8 or floating numbers");
  write<std::uint8_t>({0, 3, 4});
  refuse("holds no data");
  write<float>({3, 0, 4, 3});
  refuse("holds no data");
  write<std::uint8_t>({24});
  refuse("its shape is [24]");
  std::vector<double> large(3, 1e300);
  write_npy(path, View<const double>(large.data(), {1, 1, 1, 3}));
  refuse("too large for float32");
}

}  // namespace
}  // namespace otnfm
