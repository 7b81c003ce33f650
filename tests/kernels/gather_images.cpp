// What the cases of gather_images cannot say: every pixel's bits, indices outside, refused arguments.
#include "kernels/gather_images.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "kernels/device/pixel.h"
#include "kernels/error.h"
#include "tests/kernels/on_devices.h"

namespace otnfm {
namespace {

TEST(GatherImages, ScalesEveryByteAsPixelsAre) {
  std::vector<std::uint8_t> pixels(256);
  std::iota(pixels.begin(), pixels.end(), std::uint8_t{0});
  for (const Device device : devices_at_hand()) {
    Stream stream(device);
    const DeviceArray<std::uint8_t> images(stream, pixels);
    const DeviceArray<std::int64_t> index(stream, {0, 1});
    const DeviceArray<float> y(stream, std::vector<float>(512, -7));
    gather_images(stream, {.images = View<const std::uint8_t>(images.data(), {1, 2, 128, 1}),
                           .index = index.vector(),
                           .y = y.matrix(2, 256)});
    const std::vector<float> values = y.values();
    for (std::size_t k = 0; k < 256; ++k) {
      EXPECT_EQ(values[k], value_of_pixel(pixels[k])) << k;
      EXPECT_EQ(values[256 + k], value_of_pixel(pixels[k / 128 * 128 + 127 - k % 128])) << k;
    }
  }
  EXPECT_EQ(value_of_pixel(0), -1.0f);
  EXPECT_EQ(value_of_pixel(255), 1.0f);
}

TEST(GatherImages, ABadIndexGivesARowOfNaN) {
  for (const Device device : devices_at_hand())
    for (const std::int64_t C : {1, 4}) {  // single numbers, and groups of four
      Stream stream(device);
      const DeviceArray<std::uint8_t> images(stream, std::vector<std::uint8_t>(static_cast<std::size_t>(6 * C), 255));
      const DeviceArray<std::int64_t> index(
          stream, {-1, 0, 3, 4, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()});
      const DeviceArray<float> y(stream, std::vector<float>(static_cast<std::size_t>(18 * C), -7));
      gather_images(stream, {.images = View<const std::uint8_t>(images.data(), {2, 1, 3, C}),
                             .index = index.vector(),
                             .y = y.matrix(6, 3 * C)});
      const std::vector<float> values = y.values();
      for (std::size_t i = 0; i < 6; ++i)
        for (std::size_t j = 0; j < static_cast<std::size_t>(3 * C); ++j) {
          const float value = values[i * static_cast<std::size_t>(3 * C) + j];
          EXPECT_TRUE(i == 1 || i == 2 ? value == 1.0f : std::isnan(value)) << i << ", " << j;
        }
    }
}

TEST(GatherImages, RefusesWhatDoesNotFit) {
  Stream stream(Device::cpu);
  std::vector<std::uint8_t> memory(24);
  std::vector<std::int64_t> numbers(2);
  std::vector<float> result(12, -1.0f);
  const View<const std::uint8_t> images(memory.data(), {4, 1, 2, 3});
  const View<const std::int64_t> index(numbers.data(), {2});
  const View<float> y(result.data(), {2, 6});
  View<const std::uint8_t> gaps = images;
  gaps.stride[0] = 7;
  EXPECT_THROW(gather_images(stream, {gaps, index, y}), InputError);
  EXPECT_THROW(gather_images(stream, {View<const std::uint8_t>(memory.data(), {4, 6}), index, y}), InputError);
  EXPECT_THROW(gather_images(stream, {View<const std::uint8_t>(nullptr, {4, 1, 2, 3}), index, y}), InputError);
  EXPECT_THROW(gather_images(stream, {images, View<const std::int64_t>(numbers.data(), {1}), y}), InputError);
  EXPECT_THROW(gather_images(stream, {images, index, View<float>(result.data(), {2, 5})}), InputError);
  EXPECT_THROW(gather_images(stream, {images, index, View<float>(result.data(), {12})}), InputError);
  EXPECT_THROW(gather_images(stream, {View<const std::uint8_t>(memory.data(), {0, 1 << 16, 1 << 15, 1}), index, y}),
               InputError);
  for (const float x : result) EXPECT_EQ(x, -1.0f) << "a refused op wrote";
}

}  // namespace
}  // namespace otnfm
