#include "engine/data/row_product.h"

#include <algorithm>
#include <cstring>

#include "kernels/check.h"
#include "kernels/host/parallel.h"
#include "kernels/host/simd.h"

namespace otnfm {
namespace {

// Vectors by name, since the compiler does not keep a two-dimensional array of sums in registers by itself.
using host::Floats, host::kFloats;
constexpr int kVectors = kFloats / 4;
constexpr std::int64_t kPanel = kFloats * kVectors;
constexpr std::int64_t kTileRows = 4;

// One tile: kRows rows of y, the kPanel columns of a panel of which `width` exist.
template <int kRows>
void tile(const float* a, std::int64_t a_stride, const float* panel, const float* bias, std::int64_t inner, float* y,
          std::int64_t y_stride, std::int64_t width) {
  Floats sums[kRows][kVectors] = {};
  for (std::int64_t k = 0; k < inner; ++k) {
    Floats b[kVectors];
    std::memcpy(b, panel + k * kPanel, sizeof(b));
    for (int i = 0; i < kRows; ++i)
      for (int v = 0; v < kVectors; ++v) sums[i][v] += b[v] * a[i * a_stride + k];
  }
  Floats shift[kVectors];
  std::memcpy(shift, bias, sizeof(shift));
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) sums[i][v] += shift[v];
    std::memcpy(y + i * y_stride, sums[i], static_cast<std::size_t>(width) * sizeof(float));
  }
}

}  // namespace

RowProduct::RowProduct(View<const float> b, View<const float> bias) {
  require(b.rank == 2, "RowProduct", "b must be a matrix", describe(b));
  require_matrix("RowProduct", "b", b, b.rows(), b.columns());
  require_vector("RowProduct", "bias", bias, b.columns());
  inner_ = b.rows();
  columns_ = b.columns();
  const std::int64_t panels = (columns_ + kPanel - 1) / kPanel;
  panels_.assign(static_cast<std::size_t>(panels * inner_ * kPanel), 0.0f);
  bias_.assign(static_cast<std::size_t>(panels * kPanel), 0.0f);
  std::copy_n(bias.data, columns_, bias_.begin());
  for (std::int64_t p = 0; p < panels; ++p)
    for (std::int64_t k = 0; k < inner_; ++k)
      std::copy_n(b.row(k) + p * kPanel, std::min(kPanel, columns_ - p * kPanel),
                  panels_.begin() + (p * inner_ + k) * kPanel);
}

void RowProduct::rows(View<const float> a, View<float> y) const {
  for (std::int64_t column = 0; column < columns_; column += kPanel) {
    const float* panel = panels_.data() + column * inner_;
    const float* bias = bias_.data() + column;
    const std::int64_t width = std::min(kPanel, columns_ - column);
    std::int64_t i = 0;
    for (; i + kTileRows <= y.rows(); i += kTileRows)
      tile<kTileRows>(a.row(i), a.row_stride(), panel, bias, inner_, y.row(i) + column, y.row_stride(), width);
    for (; i < y.rows(); ++i)
      tile<1>(a.row(i), a.row_stride(), panel, bias, inner_, y.row(i) + column, y.row_stride(), width);
  }
}

void RowProduct::operator()(View<const float> a, View<float> y) const {
  if (y.rank != 2) fail_check("RowProduct", "y must be a matrix", describe(y));  // no text is made where it is one
  require_matrix("RowProduct", "y", y, y.rows(), columns_);
  require_matrix("RowProduct", "a", a, y.rows(), inner_);
  constexpr std::int64_t kGrain = 1 << 18;  // multiply-adds; about 5 microseconds of one core
  const std::int64_t tiles = (y.rows() + kTileRows - 1) / kTileRows;
  host::parallel_ranges(tiles,
                        std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, kTileRows * inner_ * columns_)),
                        [&](std::int64_t begin, std::int64_t end) {
                          const std::int64_t first = begin * kTileRows;
                          const std::int64_t count = std::min(y.rows(), end * kTileRows) - first;
                          rows(a.row_slice(first, count), y.row_slice(first, count));
                        });
}

}  // namespace otnfm
