// x y^T in float, and the search of its rows. Sums of kTileRows x kTileVectors vectors stay in registers; a slice of
// 256 coordinates of the columns' panels (16 KB each) and of 128 rows (128 KB) in the caches.
#pragma once

#include "kernels/host/simd.h"
#include "ot/loops/loops.h"

namespace otnfm::OTNFM_PROCESSOR {

using namespace host;

constexpr int kTileRows = OTNFM_VECTOR_BYTES == 16 ? 3 : 6;
constexpr int kPanelVectors = kPanelColumns / kFloats;
constexpr int kTilePanels = OTNFM_VECTOR_BYTES == 64 ? 4 : 1;
constexpr std::int64_t kSlice = 256, kRowBlock = 128;

// `rows` rows by `panels` panels; from out where `more`.
template <int rows, int panels>
OTNFM_INLINE void product_tile(const float* x, std::int64_t x_stride, const float* y, std::int64_t panel_stride,
                               std::int64_t depth, bool more, float* out, std::int64_t out_stride) {
  Floats sum[rows][panels * kPanelVectors] = {};
  if (more) {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < panels * kPanelVectors; ++v) sum[r][v] = load<Floats>(out + r * out_stride + v * kFloats);
  }
  for (std::int64_t k = 0; k < depth; ++k, y += kPanelColumns) {
    Floats column[panels * kPanelVectors];
#pragma GCC unroll 8
    for (int v = 0; v < panels * kPanelVectors; ++v)
      column[v] = load<Floats>(y + v / kPanelVectors * panel_stride + v % kPanelVectors * kFloats);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const Floats factor = all<Floats>(x[r * x_stride + k]);
#pragma GCC unroll 8
      for (int v = 0; v < panels * kPanelVectors; ++v) sum[r][v] = multiply_add(factor, column[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < panels * kPanelVectors; ++v) store(out + r * out_stride + v * kFloats, sum[r][v]);
}

template <int panels, int rows>
static void product_rest(std::int64_t count, const float* x, std::int64_t x_stride, const float* y,
                         std::int64_t panel_stride, std::int64_t depth, bool more, float* out,
                         std::int64_t out_stride) {
  if constexpr (rows > 1)
    if (count < rows)
      return product_rest<panels, rows - 1>(count, x, x_stride, y, panel_stride, depth, more, out, out_stride);
  if (count > 0) product_tile<rows, panels>(x, x_stride, y, panel_stride, depth, more, out, out_stride);
}

template <int panels>
static void product_strip(const float* x, std::int64_t x_stride, std::int64_t rows, const float* y,
                          std::int64_t panel_stride, std::int64_t depth, bool more, float* out,
                          std::int64_t out_stride) {
  for (; rows >= kTileRows; rows -= kTileRows, x += kTileRows * x_stride, out += kTileRows * out_stride)
    product_tile<kTileRows, panels>(x, x_stride, y, panel_stride, depth, more, out, out_stride);
  product_rest<panels, kTileRows - 1>(rows, x, x_stride, y, panel_stride, depth, more, out, out_stride);
}

static void product(const float* x, std::int64_t rows, std::int64_t d, const float* panels, std::int64_t columns,
                    float* out, std::int64_t out_stride) {
  const std::int64_t count = (columns + kPanelColumns - 1) / kPanelColumns, panel = d * kPanelColumns;
  for (std::int64_t i = 0; i < rows; i += kRowBlock) {
    const std::int64_t height = rows - i < kRowBlock ? rows - i : kRowBlock;
    for (std::int64_t k = 0; k == 0 || k < d; k += kSlice) {
      const std::int64_t depth = d - k < kSlice ? d - k : kSlice;
      std::int64_t p = 0;
      for (; p + kTilePanels <= count; p += kTilePanels)
        product_strip<kTilePanels>(x + i * d + k, d, height, panels + p * panel + k * kPanelColumns, panel, depth,
                                   k > 0, out + i * out_stride + p * kPanelColumns, out_stride);
      for (; p < count; ++p)
        product_strip<1>(x + i * d + k, d, height, panels + p * panel + k * kPanelColumns, panel, depth, k > 0,
                         out + i * out_stride + p * kPanelColumns, out_stride);
    }
  }
}

OTNFM_INLINE float least_of(Floats v) {
  float least = v[0];
  for (int i = 1; i < kFloats; ++i) least = v[i] < least ? v[i] : least;
  return least;
}

static std::int64_t screen(const Loops::Screen& s, const float* product, std::int64_t count, float* ceiling,
                           float* least, float* most, std::int64_t room, std::int32_t* at, float* low) {
  const Floats factor = all<Floats>(-s.factor), size = all<Floats>(s.size);
  Floats top = all<Floats>(*ceiling), lowest = all<Floats>(*least), highest = all<Floats>(*most);
  for (std::int64_t j = 0; j < count; j += kFloats) {
    const Floats p = load<Floats>(product + j), cost = multiply_add(factor, p, load<Floats>(s.cost + j));
    lowest = smaller(cost, lowest);
    highest = larger(cost, highest);
    const Floats v = multiply_add(factor, p, load<Floats>(s.bias + j));
    top = smaller(v + multiply_add(size, load<Floats>(s.target + j), load<Floats>(s.slack + j)), top);
  }
  *ceiling = least_of(top);
  *least = least_of(lowest);
  *most = -least_of(-highest);
  top = all<Floats>(*ceiling);
  std::int64_t found = 0;
  for (std::int64_t j = 0; j < count; j += kFloats) {
    const Floats v = multiply_add(factor, load<Floats>(product + j), load<Floats>(s.bias + j));
    const Floats floor = v - multiply_add(size, load<Floats>(s.target + j), load<Floats>(s.slack + j));
    for (std::uint32_t near = not_above(floor, top); near != 0; near &= near - 1) {
      if (found == room) return room + 1;
      const int lane = __builtin_ctz(near);
      at[found] = static_cast<std::int32_t>(j + lane);
      low[found++] = floor[lane];
    }
  }
  return found;
}

}  // namespace otnfm::OTNFM_PROCESSOR
