// Vectors as wide as a processor's registers. Included by the files that are compiled for one processor each
// (kernels/host/processor.h), after
//     #define OTNFM_PROCESSOR avx2        the namespace that their functions stand in
//     #define OTNFM_VECTOR_BYTES 32       16, 32 or 64
// so that the linker never takes a function that was compiled for another processor. For the same reason nothing of
// the standard library that is more than a declaration is used here or there.
//
// multiply_add is fused wherever the processor can, so that AVX2 and AVX-512 round alike.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define OTNFM_INLINE static inline __attribute__((always_inline))

namespace otnfm::host::OTNFM_PROCESSOR {

constexpr int kFloats = OTNFM_VECTOR_BYTES / 4, kDoubles = OTNFM_VECTOR_BYTES / 8;
constexpr float kInfinity = __builtin_huge_valf();

typedef float Floats __attribute__((vector_size(OTNFM_VECTOR_BYTES)));
typedef double Doubles __attribute__((vector_size(OTNFM_VECTOR_BYTES)));
typedef std::int32_t Integers __attribute__((vector_size(OTNFM_VECTOR_BYTES)));

OTNFM_INLINE Floats load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
OTNFM_INLINE Doubles load(const double* from) {
  Doubles v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
OTNFM_INLINE void store(float* to, Floats v) {
  std::memcpy(to, &v, sizeof(v));
}
OTNFM_INLINE void store(double* to, Doubles v) {
  std::memcpy(to, &v, sizeof(v));
}

#if OTNFM_VECTOR_BYTES == 64
OTNFM_INLINE Floats all(float x) {
  return _mm512_set1_ps(x);
}
OTNFM_INLINE Doubles all(double x) {
  return _mm512_set1_pd(x);
}
OTNFM_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}
OTNFM_INLINE Doubles multiply_add(Doubles a, Doubles b, Doubles c) {
  return _mm512_fmadd_pd(a, b, c);
}
OTNFM_INLINE Floats smaller(Floats a, Floats b) {
  return _mm512_min_ps(a, b);
}
OTNFM_INLINE Floats larger(Floats a, Floats b) {
  return _mm512_max_ps(a, b);
}
OTNFM_INLINE Doubles smaller(Doubles a, Doubles b) {
  return _mm512_min_pd(a, b);
}
OTNFM_INLINE Doubles larger(Doubles a, Doubles b) {
  return _mm512_max_pd(a, b);
}
/// A bit for each lane where a <= b.
OTNFM_INLINE std::uint32_t not_above(Floats a, Floats b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
#elif OTNFM_VECTOR_BYTES == 32
OTNFM_INLINE Floats all(float x) {
  return _mm256_set1_ps(x);
}
OTNFM_INLINE Doubles all(double x) {
  return _mm256_set1_pd(x);
}
OTNFM_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  return _mm256_fmadd_ps(a, b, c);
}
OTNFM_INLINE Doubles multiply_add(Doubles a, Doubles b, Doubles c) {
  return _mm256_fmadd_pd(a, b, c);
}
OTNFM_INLINE Floats smaller(Floats a, Floats b) {
  return _mm256_min_ps(a, b);
}
OTNFM_INLINE Floats larger(Floats a, Floats b) {
  return _mm256_max_ps(a, b);
}
OTNFM_INLINE Doubles smaller(Doubles a, Doubles b) {
  return _mm256_min_pd(a, b);
}
OTNFM_INLINE Doubles larger(Doubles a, Doubles b) {
  return _mm256_max_pd(a, b);
}
OTNFM_INLINE std::uint32_t not_above(Floats a, Floats b) {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)));
}
#else
OTNFM_INLINE Floats all(float x) {
  return Floats{x, x, x, x};
}
OTNFM_INLINE Doubles all(double x) {
  return Doubles{x, x};
}
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
OTNFM_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  for (int i = 0; i < kFloats; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
}
OTNFM_INLINE Doubles multiply_add(Doubles a, Doubles b, Doubles c) {
  for (int i = 0; i < kDoubles; ++i) c[i] = __builtin_fma(a[i], b[i], c[i]);
  return c;
}
#else
OTNFM_INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
  return a * b + c;
}
OTNFM_INLINE Doubles multiply_add(Doubles a, Doubles b, Doubles c) {
  return a * b + c;
}
#endif
OTNFM_INLINE Floats smaller(Floats a, Floats b) {
  return a < b ? a : b;
}
OTNFM_INLINE Floats larger(Floats a, Floats b) {
  return a > b ? a : b;
}
OTNFM_INLINE Doubles smaller(Doubles a, Doubles b) {
  return a < b ? a : b;
}
OTNFM_INLINE Doubles larger(Doubles a, Doubles b) {
  return a > b ? a : b;
}
OTNFM_INLINE std::uint32_t not_above(Floats a, Floats b) {
  std::uint32_t bits = 0;
  for (int i = 0; i < kFloats; ++i) bits |= std::uint32_t{a[i] <= b[i]} << i;
  return bits;
}
#endif

OTNFM_INLINE Floats absolute(Floats v) {
  return larger(v, -v);
}
OTNFM_INLINE Doubles absolute(Doubles v) {
  return larger(v, -v);
}

/// 2^x, relative error below 2e-7; exactly 0 below -126.5, 2^126 from 126 on (a caller that could come there checks its
/// sums). 2^n 2^r with |r| <= 1/2; the polynomial is that of Cephes' exp2f.
OTNFM_INLINE Floats exp2_of(Floats x) {
  x = smaller(larger(x, all(-127.0f)), all(126.0f));
  // Adding 1.5 * 2^23 + 127 rounds to an integer, whose exponent bits then stand lowest; at n = -127 they are 0.
  constexpr float kRounder = 12582912.0f + 127.0f;
  const Floats shifted = x + all(kRounder);
  const Floats r = x - (shifted - all(kRounder));
  Floats p = multiply_add(r, all(1.535336188319500e-4f), all(1.339887440266574e-3f));
  p = multiply_add(p, r, all(9.618437357674640e-3f));
  p = multiply_add(p, r, all(5.550332471162809e-2f));
  p = multiply_add(p, r, all(2.402264791363012e-1f));
  p = multiply_add(p, r, all(6.931472028550421e-1f));
  p = multiply_add(p, r, all(1.0f));
  return p * (Floats)((Integers)shifted << 23);
}

}  // namespace otnfm::host::OTNFM_PROCESSOR
