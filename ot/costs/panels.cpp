#include "ot/costs/panels.h"

#include <algorithm>

#include "kernels/host/parallel.h"
#include "ot/loops/loops.h"

namespace otnfm {

void Panels::pack(std::span<const float> y, std::int64_t m, std::int64_t d) {
  m_ = m;
  d_ = d;
  const std::int64_t count = (m + kPanelColumns - 1) / kPanelColumns;
  panels_.assign(static_cast<std::size_t>(count * d * kPanelColumns), 0.0f);
  host::parallel_rows(count, kPanelColumns * d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin * kPanelColumns; j < std::min(m, end * kPanelColumns); ++j) {
      const float* row = y.data() + j * d;
      float* panel = panels_.data() + j / kPanelColumns * d * kPanelColumns + j % kPanelColumns;
      for (std::int64_t k = 0; k < d; ++k) panel[k * kPanelColumns] = row[k];
    }
  });
}

void Panels::multiply(const float* x, std::int64_t rows, float* out, std::int64_t out_stride) const {
  const std::int64_t whole = m_ / kPanelColumns * kPanelColumns;
  const auto& product = loops().product;
  if (whole > 0) product(x, rows, d_, panels_.data(), whole, out, out_stride);
  if (whole == m_) return;
  float last[kBlockRows * kPanelColumns];
  for (std::int64_t i = 0; i < rows; i += kBlockRows) {
    const std::int64_t height = std::min(kBlockRows, rows - i);
    product(x + i * d_, height, d_, panels_.data() + whole * d_, kPanelColumns, last, kPanelColumns);
    for (std::int64_t r = 0; r < height; ++r)
      std::copy_n(last + r * kPanelColumns, m_ - whole, out + (i + r) * out_stride + whole);
  }
}

std::int64_t Panels::grain() const {
  constexpr std::int64_t kProducts = 64 * host::kElementGrain;  // some 20 us
  return std::max<std::int64_t>(1, kProducts / std::max<std::int64_t>(1, kBlockRows * m_ * (d_ + 2)));
}

}  // namespace otnfm
