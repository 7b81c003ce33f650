// Up to 6 rows of a packed product: every sum is a chain of fused multiply-adds in the order of k, whatever is summed
// beside it. In registers stand 6 rows by 64 outputs with AVX-512, 6 rows by 16 with AVX2; a single row by 64 with
// both, since with 16 each multiply-add would wait for the one before.
#pragma once

#include "kernels/cpu/loops/loops.h"
#include "kernels/host/simd.h"

namespace otnfm::cpu::OTNFM_PROCESSOR {

using namespace host;

constexpr int kPartVectors = kPackedPart / kFloats;

OTNFM_INLINE Floats load_weights(const float* from) {
  return load<Floats>(from);
}
OTNFM_INLINE Floats load_weights(const std::uint16_t* from) {  // bfloat16: the upper half of a float
  return (Floats)(__builtin_convertvector(load<Vector<std::uint16_t, kFloats>>(from), Integers) << 16);
}

template <int rows, int parts, class Weight>
OTNFM_INLINE void packed_part(const PackedTile& t, int part) {
  constexpr int kVectors = parts * kPartVectors;
  const std::int64_t width = std::int64_t{kPackedPart} * t.parts;
  const Weight* panel = static_cast<const Weight*>(t.panel) + part * kPackedPart;
  Floats sum[rows][kVectors] = {};
  for (std::int64_t k = 0; k < t.inner; ++k, panel += width) {
    Floats w[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) w[v] = load_weights(panel + v * kFloats);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const Floats x = all<Floats>(t.x[r * t.x_stride + k]);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) sum[r][v] = multiply_add(x, w[v], sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) store(t.sums + r * width + part * kPackedPart + v * kFloats, sum[r][v]);
}

template <int rows, class Weight>
static void packed_rows_of(const PackedTile& t) {
  constexpr int kMost = OTNFM_VECTOR_BYTES == 64 || (OTNFM_VECTOR_BYTES == 32 && rows == 1) ? kPackedParts : 1;
  int part = 0;
  for (; part + kMost <= t.parts; part += kMost) packed_part<rows, kMost, Weight>(t, part);
  if constexpr (kMost > 1)
    for (; part < t.parts; ++part) packed_part<rows, 1, Weight>(t, part);
}

template <class Weight>
static void packed_rows(const PackedTile& t) {
  if (t.rows == kPackedRows) return packed_rows_of<kPackedRows, Weight>(t);
  PackedTile rest = t;
  const std::int64_t width = std::int64_t{kPackedPart} * t.parts;
  for (std::int64_t left = t.rows; left > 0;) {
    const int count = left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (count == 4)
      packed_rows_of<4, Weight>(rest);
    else if (count == 2)
      packed_rows_of<2, Weight>(rest);
    else
      packed_rows_of<1, Weight>(rest);
    left -= count;
    rest.x += count * t.x_stride;
    rest.sums += count * width;
  }
}

}  // namespace otnfm::cpu::OTNFM_PROCESSOR
