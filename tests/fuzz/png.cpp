// A PNG file of a folder of images, with the checksums of its chunks put right: with wrong ones nothing is looked at.
#include <zlib.h>

#include <cstring>
#include <string>

#include "engine/io/input_file.h"
#include "engine/io/png_reader.h"
#include "tests/fuzz/memory_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace otnfm;
  std::string file(reinterpret_cast<const char*>(bytes), count);
  auto* const data = reinterpret_cast<std::uint8_t*>(file.data());
  for (std::size_t at = 8; at + 12 <= count;) {
    const std::size_t length = std::size_t{data[at]} << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3];
    if (length > count - at - 12) break;
    const auto sum = static_cast<std::uint32_t>(crc32_z(0, data + at + 4, length + 4));
    for (int i = 0; i < 4; ++i)
      data[at + 8 + length + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    at += length + 12;
  }
  return fuzz::read_as_file(data, count, [](const std::string& path) { (void)decode_png(read_file(path), path); });
}
