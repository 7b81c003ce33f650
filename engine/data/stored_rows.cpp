#include "engine/data/stored_rows.h"

#include <algorithm>
#include <utility>

#include "kernels/device/pixel.h"

namespace otnfm {
namespace {

/// Its first element, which keeps all of them.
template <class Byte>
std::shared_ptr<const std::uint8_t> shared_bytes(std::vector<Byte> pixels) {
  const auto owner = std::make_shared<const std::vector<Byte>>(std::move(pixels));
  return {owner, reinterpret_cast<const std::uint8_t*>(owner->data())};
}

/// The picked ones of `count` rows that begin at `rows`, or the others.
template <class T>
std::vector<T> part_of(const T* rows, std::int64_t columns, const std::vector<bool>& picked, bool those) {
  const auto wanted = static_cast<std::size_t>(std::ranges::count(picked, those));
  std::vector<T> part;
  part.reserve(wanted * static_cast<std::size_t>(columns));
  for (std::size_t i = 0; i < picked.size(); ++i) {
    const T* row = rows + static_cast<std::int64_t>(i) * columns;
    if (picked[i] == those) part.insert(part.end(), row, row + columns);
  }
  return part;
}

}  // namespace

StoredRows::StoredRows(std::vector<float> numbers, std::int64_t columns)
    : count_(std::ssize(numbers) / columns),
      columns_(columns),
      numbers_(std::make_shared<const std::vector<float>>(std::move(numbers))) {}

StoredRows::StoredRows(std::vector<std::uint8_t> pixels, std::int64_t columns)
    : count_(std::ssize(pixels) / columns), columns_(columns), pixels_(shared_bytes(std::move(pixels))) {}

StoredRows::StoredRows(std::vector<std::byte> pixels, std::int64_t columns)
    : count_(std::ssize(pixels) / columns), columns_(columns), pixels_(shared_bytes(std::move(pixels))) {}

void StoredRows::copy(std::int64_t row, float* to) const {
  const std::int64_t begin = row * columns_;
  if (numbers_) {
    std::copy_n(numbers_->data() + begin, columns_, to);
    return;
  }
  const std::uint8_t* const from = pixels_.get() + begin;
  for (std::int64_t j = 0; j < columns_; ++j) to[j] = value_of_pixel(from[j]);
}

StoredRows StoredRows::part(const std::vector<bool>& picked, bool those) const {
  if (numbers_) return {part_of(numbers_->data(), columns_, picked, those), columns_};
  return {part_of(pixels_.get(), columns_, picked, those), columns_};
}

}  // namespace otnfm
