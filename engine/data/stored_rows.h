// The rows of a finite data set as they are kept: numbers, or the bytes of images, which take a quarter of the memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace otnfm {

/// Rows of `columns` numbers. Cheap to copy: copies share the memory.
class StoredRows {
 public:
  StoredRows() = default;
  StoredRows(std::vector<float> numbers, std::int64_t columns);
  /// Pixels, each a byte; their memory goes on to hold them.
  StoredRows(std::vector<std::uint8_t> pixels, std::int64_t columns);
  StoredRows(std::vector<std::byte> pixels, std::int64_t columns);

  /// False of one that was made without rows.
  bool there() const { return numbers_ != nullptr || pixels_ != nullptr; }
  std::int64_t count() const { return count_; }
  /// [count, columns], of which one is null: the numbers, or the bytes that stand for them (value_of_pixel).
  const std::shared_ptr<const std::vector<float>>& numbers() const { return numbers_; }
  const std::uint8_t* pixels() const { return pixels_.get(); }

  /// Row `row` as numbers, to [columns].
  void copy(std::int64_t row, float* to) const;
  /// The rows that are picked, or those that are not, in their order; `picked` [count].
  StoredRows part(const std::vector<bool>& picked, bool those) const;

 private:
  std::int64_t count_ = 0, columns_ = 0;
  std::shared_ptr<const std::vector<float>> numbers_;
  std::shared_ptr<const std::uint8_t> pixels_;
};

}  // namespace otnfm
