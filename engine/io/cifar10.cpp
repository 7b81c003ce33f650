#include "engine/io/cifar10.h"

#include <fmt/format.h>

#include <cstring>
#include <string>

#include "engine/io/input_file.h"
#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

void append_batch(const std::filesystem::path& path, Cifar10& set) {
  constexpr std::int64_t kRecord = 1 + Cifar10::kPixels, kMaxBytes = std::int64_t{1} << 30;
  const std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (size == 0 || size % kRecord != 0)
    fail_input(path.string(), fmt::format("holds {} bytes, wanted a multiple of {}", size, kRecord));
  const std::int64_t first = set.count, count = size / kRecord;
  set.count += count;
  set.pixels.resize(static_cast<std::size_t>(set.count * Cifar10::kPixels));
  set.labels.resize(static_cast<std::size_t>(set.count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::byte* record = bytes.data() + i * kRecord;
    const auto label = static_cast<std::uint8_t>(record[0]);
    if (label > 9) fail_input(path.string(), fmt::format("record {} has label {}, wanted 0 to 9", i, label));
    set.labels[static_cast<std::size_t>(first + i)] = label;
    // The file has a plane a channel.
    std::uint8_t* const pixels = set.pixels.data() + (first + i) * Cifar10::kPixels;
    constexpr std::int64_t kPlane = Cifar10::kHeight * Cifar10::kWidth;
    for (std::int64_t channel = 0; channel < Cifar10::kChannels; ++channel)
      for (std::int64_t k = 0; k < kPlane; ++k)
        pixels[k * Cifar10::kChannels + channel] = static_cast<std::uint8_t>(record[1 + channel * kPlane + k]);
  }
}

}  // namespace

Cifar10 read_cifar10_batch(const std::filesystem::path& path) {
  Cifar10 set;
  append_batch(path, set);
  return set;
}

Cifar10 load_cifar10(const std::filesystem::path& folder, Split split) {
  const std::string first = split == Split::train ? "data_batch_1.bin" : "test_batch.bin";
  std::filesystem::path place = folder;
  std::error_code ignored;
  if (!std::filesystem::exists(place / first, ignored)) place /= "cifar-10-batches-bin";
  if (!std::filesystem::exists(place / first, ignored))
    fail_input(folder.string(), "holds no " + first + " (CIFAR-10, binary version)");
  if (split == Split::test) return read_cifar10_batch(place / first);
  Cifar10 set;
  for (int batch = 1; batch <= 5; ++batch) append_batch(place / fmt::format("data_batch_{}.bin", batch), set);
  return set;
}

}  // namespace otnfm
