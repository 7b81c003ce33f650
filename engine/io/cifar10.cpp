#include "engine/io/cifar10.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>

#include "engine/io/input_file.h"
#include "engine/io/text.h"
#include "kernels/error.h"

namespace otnfm {

namespace {

constexpr std::int64_t kRecord = 1 + Cifar10::kPixels;

/// The records of these files, one after the other. Beside the result a megabyte is taken.
Cifar10 read_batches(const std::vector<std::filesystem::path>& paths) {
  constexpr std::int64_t kMaxBytes = std::int64_t{1} << 30, kAtOnce = 256;
  std::vector<std::unique_ptr<const InputFile>> files;
  Cifar10 set;
  for (const std::filesystem::path& path : paths) {
    files.push_back(std::make_unique<const InputFile>(path, kMaxBytes));
    const std::int64_t size = files.back()->size();
    if (size == 0 || size % kRecord != 0)
      fail_input(path.string(), fmt::format("holds {} bytes, wanted a multiple of {}", size, kRecord));
    set.count += size / kRecord;
  }
  set.pixels.resize(static_cast<std::size_t>(set.count * Cifar10::kPixels));
  set.labels.reserve(static_cast<std::size_t>(set.count));
  std::uint8_t* pixels = set.pixels.data();
  std::vector<std::byte> records;
  for (const auto& file : files) {
    const std::int64_t count = file->size() / kRecord;
    for (std::int64_t i = 0; i < count; ++i, pixels += Cifar10::kPixels) {
      if (i % kAtOnce == 0) {
        records.resize(static_cast<std::size_t>(std::min(kAtOnce, count - i) * kRecord));
        file->read(i * kRecord, records);
      }
      const std::byte* record = records.data() + i % kAtOnce * kRecord;
      const auto label = static_cast<std::uint8_t>(record[0]);
      if (label > 9) fail_input(file->path(), fmt::format("record {} has label {}, wanted 0 to 9", i, label));
      set.labels.push_back(label);
      // The file has a plane a channel.
      constexpr std::int64_t kPlane = Cifar10::kHeight * Cifar10::kWidth;
      static_assert(Cifar10::kChannels == 3);
      const auto* const red = reinterpret_cast<const std::uint8_t*>(record + 1);
      for (std::int64_t k = 0; k < kPlane; ++k) {
        pixels[3 * k] = red[k];
        pixels[3 * k + 1] = red[kPlane + k];
        pixels[3 * k + 2] = red[2 * kPlane + k];
      }
    }
  }
  return set;
}

}  // namespace

Cifar10 read_cifar10_batch(const std::filesystem::path& path) {
  return read_batches({path});
}

Cifar10 load_cifar10(const std::filesystem::path& folder, Split split) {
  const std::string first = split == Split::train ? "data_batch_1.bin" : "test_batch.bin";
  std::filesystem::path place = folder;
  std::error_code ignored;
  if (!std::filesystem::exists(place / first, ignored)) place /= "cifar-10-batches-bin";
  if (!std::filesystem::exists(place / first, ignored))
    fail_input(folder.string(), "holds no " + first + " (CIFAR-10, binary version)");
  if (split == Split::test) return read_cifar10_batch(place / first);
  std::vector<std::filesystem::path> paths;
  for (int batch = 1; batch <= 5; ++batch) paths.push_back(place / fmt::format("data_batch_{}.bin", batch));
  return read_batches(paths);
}

}  // namespace otnfm
