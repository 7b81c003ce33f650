// Sixteen floats at once: a GCC vector, which the compiler splits where the machine's are shorter; and 2^x on them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace otnfm {

inline constexpr int kFloatLanes = 16;
using FloatLanes = float __attribute__((vector_size(kFloatLanes * sizeof(float))));
using IntLanes = std::int32_t __attribute__((vector_size(kFloatLanes * sizeof(std::int32_t))));

inline FloatLanes load_floats(const float* from) {
  FloatLanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

inline void store_floats(float* to, FloatLanes lanes) {
  std::memcpy(to, &lanes, sizeof(lanes));
}

inline FloatLanes floats_of(float value) {
  return FloatLanes{} + value;
}

/// a * b + c, written out since the build lets no compiler fuse on its own.
inline FloatLanes multiply_add(FloatLanes a, FloatLanes b, FloatLanes c) {
#if defined(__AVX512F__)
  return reinterpret_cast<FloatLanes>(
      _mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#else
  return a * b + c;
#endif
}

inline FloatLanes larger_of(FloatLanes a, FloatLanes b) {
  return a > b ? a : b;
}

inline FloatLanes smaller_of(FloatLanes a, FloatLanes b) {
  return a < b ? a : b;
}

/// 2^x, relative error below 2e-7; exactly 0 below -126.5, 2^126 from 126 on (a caller that could come there checks its
/// sums). 2^n 2^r with |r| <= 1/2; the polynomial is that of Cephes' exp2f.
inline FloatLanes exp2_of(FloatLanes x) {
  x = smaller_of(larger_of(x, floats_of(-127.0f)), floats_of(126.0f));
  // Adding 1.5 * 2^23 + 127 rounds to an integer, whose exponent bits then stand lowest; at n = -127 they are 0.
  constexpr float kRounder = 12582912.0f + 127.0f;
  const FloatLanes shifted = x + kRounder;
  const FloatLanes r = x - (shifted - kRounder);
  FloatLanes p = multiply_add(r, floats_of(1.535336188319500e-4f), floats_of(1.339887440266574e-3f));
  p = multiply_add(p, r, floats_of(9.618437357674640e-3f));
  p = multiply_add(p, r, floats_of(5.550332471162809e-2f));
  p = multiply_add(p, r, floats_of(2.402264791363012e-1f));
  p = multiply_add(p, r, floats_of(6.931472028550421e-1f));
  p = multiply_add(p, r, floats_of(1.0f));
  return p * reinterpret_cast<FloatLanes>(reinterpret_cast<IntLanes>(shifted) << 23);
}

inline float sum_of(FloatLanes lanes) {
  float part[kFloatLanes];
  store_floats(part, lanes);
  for (int width = kFloatLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) part[lane] += part[lane + width];
  return part[0];
}

inline float maximum_of(FloatLanes lanes) {
  float part[kFloatLanes];
  store_floats(part, lanes);
  for (int width = kFloatLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane)
      part[lane] = part[lane] > part[lane + width] ? part[lane] : part[lane + width];
  return part[0];
}

}  // namespace otnfm
