// PNG files made by hand, whole and damaged, and folders of them.
#include "engine/io/png_reader.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <zlib.h>

#include <random>

#include "engine/io/png.h"
#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::big_endian;
using testing::expect_input_error;
using testing::expect_truncations_refused;
using testing::get;
using testing::input_error;
using testing::put;
using testing::survive_damage;
using testing::TemporaryFolder;

const std::string kSignature("\x89PNG\r\n\x1a\n");

std::string chunk(const std::string& name, const std::string& data) {
  const std::string content = name + data;
  const auto sum = crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  return big_endian(data.size(), 4) + content + big_endian(sum, 4);
}

std::string header_chunk(std::uint64_t width, std::uint64_t height, int bits, int colour, int interlaced = 0) {
  return chunk("IHDR", big_endian(width, 4) + big_endian(height, 4) + static_cast<char>(bits) +
                           static_cast<char>(colour) + std::string(2, '\0') + static_cast<char>(interlaced));
}

/// Lines of bytes, each with its filter's byte before it, compressed.
std::string data_chunk(const std::string& lines) {
  std::string packed(compressBound(lines.size()), '\0');
  uLongf size = packed.size();
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(lines.data()),
                     lines.size()),
            Z_OK);
  packed.resize(size);
  return chunk("IDAT", packed);
}

std::string png_of(const std::string& header, const std::string& lines, const std::string& between = {}) {
  return kSignature + header + between + data_chunk(lines) + chunk("IEND", "");
}

std::string grey(const std::string& pixels, std::size_t width) {
  std::string lines;
  for (std::size_t at = 0; at < pixels.size(); at += width) lines += '\0' + pixels.substr(at, width);
  return png_of(header_chunk(width, pixels.size() / width, 8, 0), lines);
}

Image decoded(const std::string& bytes) {
  return decode_png(std::as_bytes(std::span(bytes)), "a.png");
}

Image random_image(int width, int height, int channels, std::mt19937& random) {
  Image image(width, height, channels);
  for (std::uint8_t& p : image.pixels) p = static_cast<std::uint8_t>(random());
  return image;
}

TEST(PngReader, ReadsWhatIsWritten) {
  std::mt19937 random(7);
  for (const int channels : {1, 3})
    for (const auto& [width, height] : {std::pair{1, 1}, {33, 17}, {1, 100}, {256, 3}}) {
      const Image image = random_image(width, height, channels, random);
      const Image again = decode_png(encode_png(image), "a.png");
      EXPECT_EQ(again.width, width);
      EXPECT_EQ(again.height, height);
      EXPECT_EQ(again.channels, channels);
      EXPECT_EQ(again.pixels, image.pixels);
    }
}

TEST(PngReader, ReadsInterlacedFilesAndPassesOverWhatStandsBeside) {
  // Adam7 of 2 x 2: pass 1 has the first pixel, pass 6 the second, pass 7 the second line.
  const std::string bytes = png_of(header_chunk(2, 2, 8, 0, 1), std::string("\0\1\0\2\0\3\4", 7),
                                   // A gamma that a viewer would apply, a profile that is none, a private chunk.
                                   chunk("gAMA", big_endian(100000, 4)) + chunk("iCCP", std::string("a\0\0junk", 7)) +
                                       chunk("prVt", std::string(100, 'x')));
  EXPECT_EQ(decoded(bytes).pixels, (std::vector<std::uint8_t>{1, 2, 3, 4}));
  EXPECT_EQ(decoded(bytes + "what follows the end").pixels, (std::vector<std::uint8_t>{1, 2, 3, 4}));
}

TEST(PngReader, NamesWhatItRefuses) {
  const auto refuse = [](const std::string& bytes, std::string_view words) {
    const std::string message = input_error([&] { decoded(bytes); });
    EXPECT_TRUE(message.starts_with("a.png: ")) << message;
    EXPECT_NE(message.find(words), std::string::npos) << message << "\n  lacks: " << words;
  };
  refuse("", "is not a PNG file");
  refuse("GIF89a and more of it, to be long enough for a header", "is not a PNG file");
  refuse(kSignature + chunk("IDAT", std::string(20, 'x')), "no header");
  refuse(png_of(header_chunk(1, 1, 16, 0), std::string(3, '\0')), "has 16 bits a channel");
  refuse(png_of(header_chunk(1, 1, 16, 2), std::string(7, '\0')), "has 16 bits a channel");
  refuse(png_of(header_chunk(8, 1, 1, 0), std::string(2, '\0')), "has 1 bits a channel");
  refuse(png_of(header_chunk(1, 1, 8, 4), std::string(3, '\0')), "has an alpha channel");
  refuse(png_of(header_chunk(1, 1, 8, 6), std::string(5, '\0')), "has an alpha channel");
  refuse(png_of(header_chunk(1, 1, 8, 3), std::string(2, '\0'), chunk("PLTE", "abc")), "has a palette");
  refuse(png_of(header_chunk(1, 1, 8, 0), std::string(2, '\0'), chunk("tRNS", std::string(2, '\0'))),
         "transparent colour");
  refuse(png_of(header_chunk(1, 1, 8, 5), std::string(2, '\0')), "its colour type is 5");
  refuse(png_of(header_chunk(0, 1, 8, 0), ""), "declares 0 x 1 pixels");
  refuse(png_of(header_chunk(100000, 100000, 8, 2), ""), "declares 100000 x 100000 pixels");
  refuse(png_of(header_chunk(4000, 4000, 8, 0), std::string(2, '\0')), "more than its");
  refuse(png_of(header_chunk(0xffffffff, 0xffffffff, 8, 2), ""), "declares");
  refuse(png_of(header_chunk(2, 2, 8, 0), std::string(3, '\0')), "cannot be decoded");
  std::string wrong_sum = grey("abcd", 2);
  wrong_sum[wrong_sum.size() - 13] = static_cast<char>(wrong_sum[wrong_sum.size() - 13] ^ 1);  // of IDAT
  refuse(wrong_sum, "cannot be decoded");
}

TEST(PngReader, SurvivesDamage) {
  const TemporaryFolder folder;
  std::mt19937 random(3);
  const std::vector<std::byte> bytes = encode_png(random_image(5, 4, 3, random));
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto load = [&](const std::filesystem::path&) { (void)read_png_folder(folder.path()); };
  expect_truncations_refused(text, folder / "a.png", load);
  EXPECT_GT(survive_damage(text, folder / "a.png", 2000, load), 1000);
}

TEST(PngFolder, IsReadInTheOrderOfTheNames) {
  const TemporaryFolder folder;
  std::string wanted;
  for (const char* name : {"10.png", "2.PNG", "B.png", "a.png"}) {
    const std::string pixels = std::string(name, 4) + "pq";
    put(folder / name, grey(pixels, 3));
    wanted += pixels;
  }
  put(folder / "labels.csv", "1,2");
  put(folder / "._a.png", "not one");
  std::filesystem::create_directory(folder / "more.png");
  const PngImages images = read_png_folder(folder.path());
  EXPECT_EQ(images.count, 4);
  EXPECT_EQ(images.height, 2);
  EXPECT_EQ(images.width, 3);
  EXPECT_EQ(images.channels, 1);
  EXPECT_EQ(std::string(images.pixels.begin(), images.pixels.end()), wanted);
}

TEST(PngFolder, OfManyFilesIsWhole) {
  const TemporaryFolder folder;
  std::mt19937 random(11);
  std::vector<std::uint8_t> wanted;
  for (int i = 0; i < 100; ++i) {
    const Image image = random_image(4, 3, 3, random);
    write_png(folder / fmt::format("{:03}.png", i), image);
    wanted.insert(wanted.end(), image.pixels.begin(), image.pixels.end());
  }
  EXPECT_EQ(read_png_folder(folder.path()).pixels, wanted);
}

TEST(PngFolder, NamesTheFileThatItRefuses) {
  const TemporaryFolder folder;
  const auto read = [&] { (void)read_png_folder(folder.path()); };
  expect_input_error(folder.path(), "holds no .png file", read);
  expect_input_error(folder / "none", "cannot be read", [&] { (void)read_png_folder(folder / "none"); });
  put(folder / "labels.csv", "1,2");
  expect_input_error(folder.path(), "holds no .png file", read);
  for (const char* name : {"a.png", "b.png", "c.png", "d.png"}) put(folder / name, grey("abcdef", 3));
  put(folder / "c.png", grey("abcdef", 2));
  expect_input_error(folder / "c.png", "is 2 x 3 with 1 channel, where a.png is 3 x 2 with 1 channel", read);
  write_png(folder / "c.png", Image(3, 2, 3));
  expect_input_error(folder / "c.png", "is 3 x 2 with 3 channels", read);
  put(folder / "c.png", png_of(header_chunk(3, 2, 8, 0), std::string(8, '\0'), chunk("tRNS", std::string(2, '\0'))));
  expect_input_error(folder / "c.png", "transparent", read);
  // Of two that are wrong the first is named.
  put(folder / "b.png", grey("abcdef", 3).substr(0, 60));
  expect_input_error(folder / "b.png", "cannot be decoded", read);
  std::filesystem::remove(folder / "b.png");
  ASSERT_EQ(::mkfifo((folder / "b.png").c_str(), 0600), 0);
  expect_input_error(folder / "b.png", "not a regular file", read);
  std::filesystem::remove(folder / "b.png");
  std::filesystem::create_symlink("nowhere", folder / "b.png");
  expect_input_error(folder / "b.png", "cannot be opened", read);
}

}  // namespace
}  // namespace otnfm
