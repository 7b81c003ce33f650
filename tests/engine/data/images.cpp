// Data sets of images: kept as bytes, with mirror images, read from array files and folders, recorded on a tape. What
// is drawn of bytes is bit for bit what is drawn of their numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/data/dataset.h"
#include "engine/data/record_draw.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::expect_input_error;
using testing::input_error;
using testing::TemporaryFolder;

constexpr std::int64_t kImages = 23;

std::vector<std::uint8_t> random_pixels(std::int64_t count, const Shape& shape) {
  std::mt19937 random(5);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * size_of(shape)));
  for (std::uint8_t& p : pixels) p = static_cast<std::uint8_t>(random());
  return pixels;
}

std::vector<float> numbers_of(const std::vector<std::uint8_t>& pixels) {
  std::vector<float> numbers(pixels.size());
  std::ranges::transform(pixels, numbers.begin(), [](std::uint8_t p) { return value_of_pixel(p); });
  return numbers;
}

/// The images, and behind them those with each line turned round.
std::vector<float> with_mirrors(const std::vector<float>& images, const Shape& shape) {
  std::vector<float> all = images;
  const auto width = static_cast<std::size_t>(shape[1]), channels = static_cast<std::size_t>(shape[2]);
  for (std::size_t line = 0; line < images.size(); line += width * channels)
    for (std::size_t w = 0; w < width; ++w)
      for (std::size_t c = 0; c < channels; ++c) all.push_back(images[line + (width - 1 - w) * channels + c]);
  return all;
}

struct SameImages {
  Dataset bytes, numbers;

  explicit SameImages(const Shape& shape)
      : bytes(Dataset::images_of_bytes("images", random_pixels(kImages, shape), shape)),
        numbers(Dataset::images("images", numbers_of(random_pixels(kImages, shape)), shape)) {}
};

/// What `fill` writes to an output of so many rows, poisoned before.
template <class Fill>
std::vector<float> filled(const Dataset& data, std::int64_t rows, const Fill& fill) {
  std::vector<float> out(static_cast<std::size_t>(rows * data.dimension()), std::nanf(""));
  fill(View<float>(out.data(), {rows, data.dimension()}));
  return out;
}

void expect_same(const Dataset& a, const Dataset& b) {
  ASSERT_EQ(a.count(), b.count());
  EXPECT_EQ(a.sample_shape(), b.sample_shape());
  const auto both = [&](std::int64_t rows, const auto& fill) {
    EXPECT_EQ(filled(a, rows, [&](View<float> out) { fill(a, out); }),
              filled(b, rows, [&](View<float> out) { fill(b, out); }));
  };
  const DrawKey key{.seed = 3, .stream = 2, .step = 7, .first_row = 1};
  const std::vector<std::int64_t> rows = {12, 0, 3, 3};
  both(a.count(), [](const Dataset& data, View<float> out) { data.copy_rows(0, out); });
  both(2, [](const Dataset& data, View<float> out) { data.copy_rows(data.count() - 2, out); });
  both(50, [&](const Dataset& data, View<float> out) { data.draw(key, out); });
  both(4, [&](const Dataset& data, View<float> out) { data.draw_rows(key, {rows.data(), {4}}, out); });
  both(a.count() - 1, [&](const Dataset& data, View<float> out) { data.draw_distinct(key, out); });
  const FloatRows all = a.float_rows();
  EXPECT_EQ(filled(b, b.count(), [&](View<float> out) { b.copy_rows(0, out); }),
            std::vector<float>(all.view().data, all.view().data + all.view().size()));
}

const Shape kShapes[] = {{4, 5, 3}, {3, 4, 1}, {1, 1, 1}, {2, 1, 3}};

TEST(Images, InBytesAreWhatTheirNumbersAre) {
  for (const Shape& shape : kShapes) {
    const SameImages same(shape);
    EXPECT_EQ(same.bytes.pixels().size(), kImages * size_of(shape));
    EXPECT_TRUE(same.bytes.rows_in_place().empty());
    EXPECT_TRUE(same.numbers.pixels().empty());
    EXPECT_EQ(same.numbers.rows_in_place().size(), kImages * size_of(shape));
    expect_same(same.bytes, same.numbers);
    EXPECT_EQ(same.bytes.checksum(), same.numbers.checksum());
    EXPECT_NE(same.bytes.checksum(), 0u);
  }
}

TEST(Images, OfMirrorsAreTwiceAsMany) {
  for (const Shape& shape : kShapes) {
    const SameImages same(shape);
    const std::vector<float> both = with_mirrors(numbers_of(random_pixels(kImages, shape)), shape);
    const Dataset written_out = Dataset::images("both", both, shape);
    for (const Dataset& data : {same.bytes, same.numbers}) {
      EXPECT_FALSE(data.mirrored());
      const Dataset mirrored = data.with_mirror_images();
      EXPECT_TRUE(mirrored.mirrored());
      EXPECT_EQ(mirrored.count(), 2 * kImages);
      EXPECT_EQ(mirrored.pixels().data, data.pixels().data) << "the bytes were copied";
      EXPECT_EQ(mirrored.checksum(), data.checksum());
      expect_same(mirrored, written_out);
      expect_same(mirrored.with_mirror_images(), written_out);
    }
  }
  const std::string message = input_error([] { (void)Dataset::points("p", {1, 2}, 2).with_mirror_images(); });
  EXPECT_NE(message.find("p: has no mirror images"), std::string::npos) << message;
  EXPECT_THROW((void)Dataset::gaussian(12).with_mirror_images(), InputError);
}

TEST(Images, InStandardisedCoordinates) {
  const Shape shape = {4, 5, 3};
  const SameImages same(shape);
  Standardisation by;
  for (int j = 0; j < 60; ++j) {
    by.shift.push_back(0.01f * static_cast<float>(j));
    by.scale.push_back(1 + 0.1f * static_cast<float>(j));
  }
  const std::vector<float> both = with_mirrors(numbers_of(random_pixels(kImages, shape)), shape);
  std::vector<float> moved(both.size());
  by.apply({both.data(), {2 * kImages, 60}}, {moved.data(), {2 * kImages, 60}});
  const Dataset once = Dataset::points("moved", {moved.begin(), moved.begin() + kImages * 60}, 60),
                twice = Dataset::points("moved", moved, 60);
  for (const Dataset& data : {same.bytes, same.numbers}) {
    const auto expect_rows = [](const Dataset& a, const Dataset& b) {
      EXPECT_EQ(filled(a, a.count(), [&](View<float> out) { a.copy_rows(0, out); }),
                filled(b, b.count(), [&](View<float> out) { b.copy_rows(0, out); }));
    };
    expect_rows(data.standardised(by), once);
    expect_rows(data.with_mirror_images().standardised(by), twice);
    expect_rows(data.standardised(by).with_mirror_images(), twice);
    EXPECT_THROW((void)data.standardised(by).standardised(by), RunError);
  }
}

TEST(Images, HeldOutAreTheSameRowsAndNoMirrorOfTheOthers) {
  const Shape shape = {3, 4, 1};
  const SameImages same(shape);
  const Dataset bytes = same.bytes.hold_out(0.3, 9), numbers = same.numbers.hold_out(0.3, 9);
  EXPECT_EQ(bytes.count(), 16);
  expect_same(bytes, numbers);
  expect_same(bytes.test_split(), numbers.test_split());
  const Dataset mirrored = same.bytes.with_mirror_images().hold_out(0.3, 9);
  expect_same(mirrored, numbers.with_mirror_images());
  EXPECT_FALSE(mirrored.test_split().mirrored());
  expect_same(mirrored.test_split(), numbers.test_split());
}

TEST(Images, OfATestSplitHaveTheSetsShape) {
  Dataset data = Dataset::images_of_bytes("a", random_pixels(4, {2, 2, 1}), {2, 2, 1});
  EXPECT_FALSE(data.has_test_split());
  EXPECT_THROW(data.set_test_images(std::vector<std::uint8_t>(7)), InputError);
  data.set_test_images(std::vector<std::uint8_t>(8, 255));
  const Dataset test = data.with_mirror_images().test_split();
  EXPECT_EQ(test.count(), 2);
  EXPECT_TRUE(test.is_images());
  EXPECT_EQ(test.pixels()(1, 0), 255);
  EXPECT_THROW((void)Dataset::images_of_bytes("a", std::vector<std::uint8_t>(), {2, 2, 1}), InputError);
  EXPECT_THROW((void)Dataset::images_of_bytes("a", std::vector<std::uint8_t>(4), {4}), InputError);
  EXPECT_THROW((void)Dataset::images_of_bytes("a", std::vector<std::uint8_t>(4), {0, 2, 2}), InputError);
  EXPECT_THROW(data.copy_rows(3, {nullptr, {2, 4}}), InputError);
}

TEST(Images, AreDrawnOnTheTapeAsOnTheHost) {
  const Shape shape = {4, 5, 3};
  const SameImages same(shape);
  const DrawKey key{.seed = 4, .stream = 6};
  for (const Device device : {Device::cpu, Device::cuda}) {
    if (device == Device::cuda && !cuda_available()) continue;
    for (const Dataset& data :
         {same.bytes, same.numbers, same.bytes.with_mirror_images(), same.numbers.with_mirror_images()}) {
      Stream stream(device);
      Tape tape(device, {.training = false});
      HeldMemory held;
      const Tensor drawn = record_draw(tape, data, 70, random_key(key), held);
      tape.keep(drawn);
      tape.plan();
      tape.run(stream);
      std::vector<float> on_tape(70 * 60);
      copy_bytes(stream, on_tape.data(), tape.view(drawn).data, on_tape.size() * sizeof(float));
      stream.synchronize();
      EXPECT_EQ(on_tape, filled(data, 70, [&](View<float> out) { data.draw(key, out); }));
      std::size_t bytes = 0;
      for (const Memory& memory : held) bytes += memory.bytes();
      if (data.pixels().empty()) continue;
      EXPECT_EQ(bytes, device == Device::cpu ? 0u : static_cast<std::size_t>(kImages * 60)) << "not kept as bytes";
    }
  }
}

TEST(Images, InStandardisedCoordinatesAreDrawnOnTheTapeToRounding) {
  const SameImages same({4, 5, 3});
  const Standardisation by{.shift = std::vector<float>(60, 0.25f), .scale = std::vector<float>(60, 0.7f)};
  for (const Dataset& data : {same.bytes.with_mirror_images().standardised(by), same.numbers.standardised(by)}) {
    Tape tape(Device::cpu, {.training = false});
    HeldMemory held;
    const Tensor tensor = record_draw(tape, data, 30, {.seed = 4}, held);
    tape.keep(tensor);
    tape.plan();
    tape.run(host_stream());
    const std::vector<float> on_host = filled(data, 30, [&](View<float> out) { data.draw({.seed = 4}, out); });
    for (std::size_t k = 0; k < on_host.size(); ++k) EXPECT_NEAR(tape.view(tensor).data[k], on_host[k], 1e-6);
  }
}

TEST(OpenDataset, ReadsImagesOfArrays) {
  const TemporaryFolder folder;
  const Shape shape = {4, 5, 3};
  const std::vector<std::uint8_t> pixels = random_pixels(kImages, shape);
  const std::vector<float> numbers = numbers_of(pixels);
  write_npy(folder / "bytes.npy", View<const std::uint8_t>(pixels.data(), {kImages, 4, 5, 3}));
  write_npy(folder / "floats.npy", View<const float>(numbers.data(), {kImages, 4, 5, 3}));
  const Dataset bytes = open_dataset((folder / "bytes.npy").string());
  EXPECT_EQ(bytes.sample_shape(), shape);
  EXPECT_FALSE(bytes.pixels().empty());
  EXPECT_FALSE(bytes.has_test_split());
  expect_same(bytes, open_dataset((folder / "floats.npy").string()));
  write_npy(folder / "grey.npy", View<const std::uint8_t>(pixels.data(), {kImages, 4, 15}));
  EXPECT_EQ(open_dataset((folder / "grey.npy").string()).sample_shape(), (Shape{4, 15, 1}));
  // Points in bytes stay points, of the numbers 0 to 255.
  write_npy(folder / "points.npy", View<const std::uint8_t>(pixels.data(), {kImages, 60}));
  const Dataset points = open_dataset((folder / "points.npy").string());
  EXPECT_FALSE(points.is_images());
  EXPECT_EQ(points.rows_in_place()(2, 1), static_cast<float>(pixels[121]));
  write_npy(folder / "wrong.npy", View<const std::uint8_t>(pixels.data(), {kImages, 4, 3, 5}));
  expect_input_error(folder / "wrong.npy", "5 channels", [&] { open_dataset((folder / "wrong.npy").string()); });
  std::vector<float> infinite(12, INFINITY);
  write_npy(folder / "wrong.npy", View<const float>(infinite.data(), {1, 2, 2, 3}));
  expect_input_error(folder / "wrong.npy", "row 0, column 0", [&] { open_dataset((folder / "wrong.npy").string()); });
}

TEST(OpenDataset, ReadsAFolderOfPngs) {
  const TemporaryFolder folder;
  const auto open = [&] { return open_dataset(folder.path().string()); };
  expect_input_error(folder.path(), "holds no .png file", open);
  const Shape shape = {4, 5, 3};
  const std::vector<std::uint8_t> pixels = random_pixels(kImages, shape);
  for (std::int64_t i = 0; i < kImages; ++i) {
    Image image(5, 4, 3);
    std::copy_n(pixels.begin() + i * 60, 60, image.pixels.begin());
    write_png(folder / std::string(1, static_cast<char>('a' + i)).append(".png"), image);
  }
  const Dataset data = open();
  EXPECT_EQ(data.name(), folder.path().string());
  expect_same(data, SameImages(shape).bytes);
  write_png(folder / "m.png", Image(4, 5, 3));
  expect_input_error(folder / "m.png", "is 4 x 5 with 3 channels, where a.png is 5 x 4", open);
}

}  // namespace
}  // namespace otnfm
