#include "engine/io/png.h"

#include <png.h>

#include <random>

#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::get;
using testing::TemporaryFolder;

Image decode(const std::string& bytes, int channels) {
  png_image description{};
  description.version = PNG_IMAGE_VERSION;
  EXPECT_TRUE(png_image_begin_read_from_memory(&description, bytes.data(), bytes.size())) << description.message;
  description.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  Image image(static_cast<int>(description.width), static_cast<int>(description.height), channels);
  EXPECT_TRUE(png_image_finish_read(&description, nullptr, image.pixels.data(), 0, nullptr)) << description.message;
  return image;
}

TEST(Png, RoundTrips) {
  const TemporaryFolder folder;
  std::mt19937 random(7);
  for (int channels : {1, 3})
    for (const auto& [width, height] : {std::pair{1, 1}, {33, 17}, {1, 100}, {256, 3}}) {
      Image image(width, height, channels);
      for (std::uint8_t& p : image.pixels) p = static_cast<std::uint8_t>(random());
      write_png(folder / "a.png", image);
      const Image decoded = decode(get(folder / "a.png"), channels);
      EXPECT_EQ(decoded.width, width);
      EXPECT_EQ(decoded.height, height);
      EXPECT_EQ(decoded.pixels, image.pixels);
    }
}

TEST(Png, RefusesWhatIsNoImage) {
  EXPECT_THROW(encode_png(Image()), InputError);
  EXPECT_THROW(encode_png(Image(3, 0, 3)), InputError);
  EXPECT_THROW(encode_png(Image(3, 3, 2)), InputError);
  Image image(3, 3, 1);
  image.pixels.pop_back();
  EXPECT_THROW(encode_png(image), InputError);
}

}  // namespace
}  // namespace otnfm
