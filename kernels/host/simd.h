// Vectors in the compiler's terms, of any number of lanes: g++ cuts up those that are wider than the registers.
//
// Floats, Doubles and Integers are as wide as a register of the processor that the file is compiled for. A file that is
// compiled for one processor whatever the rest is compiled for (kernels/host/processor.h) says how wide before it
// includes this:
//     #define OTNFM_PROCESSOR avx2        the namespace that its functions stand in
//     #define OTNFM_VECTOR_BYTES 32       16, 32 or 64
// Everything here is static and inline, so that the linker never takes a function that was compiled for another
// processor. For the same reason nothing of the standard library that is more than a declaration is used here or there.
//
// multiply_add is fused wherever the processor can, so that AVX2 and AVX-512 round alike.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define OTNFM_INLINE static inline __attribute__((always_inline))

#if !defined(OTNFM_VECTOR_BYTES)
#if defined(__AVX512F__)
#define OTNFM_VECTOR_BYTES 64
#else
#define OTNFM_VECTOR_BYTES 32
#endif
#endif

namespace otnfm::host {

template <class Number, int count>
using Vector __attribute__((vector_size(count * sizeof(Number)))) = Number;

constexpr int kFloats = OTNFM_VECTOR_BYTES / 4, kDoubles = OTNFM_VECTOR_BYTES / 8;
using Floats = Vector<float, kFloats>;
using Doubles = Vector<double, kDoubles>;
using Integers = Vector<std::int32_t, kFloats>;

constexpr float kInfinity = __builtin_huge_valf();

template <class V>
using Element = std::remove_reference_t<decltype(std::declval<V&>()[0])>;
template <class V>
constexpr int kLanesOf = sizeof(V) / sizeof(Element<V>);

template <class V>
OTNFM_INLINE V load(const Element<V>* from) {
  V v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
/// The first `count` lanes, or all; the others are 0.
template <class V>
OTNFM_INLINE V load_some(const Element<V>* from, std::int64_t count) {
  if (count >= kLanesOf<V>) return load<V>(from);
  V v = {};
  std::memcpy(&v, from, static_cast<std::size_t>(count) * sizeof(Element<V>));
  return v;
}
template <class V>
OTNFM_INLINE void store(Element<V>* to, V v) {
  std::memcpy(to, &v, sizeof(v));
}

template <class V, int... lane>
OTNFM_INLINE V all_of(Element<V> x, std::integer_sequence<int, lane...>) {
  return V{(static_cast<void>(lane), x)...};
}
template <class V>
OTNFM_INLINE V all(Element<V> x) {
  return all_of<V>(x, std::make_integer_sequence<int, kLanesOf<V>>{});
}

// What the compiler's own terms do not become one instruction of by themselves.

#if defined(__AVX512F__)
OTNFM_INLINE Vector<float, 16> multiply_add(Vector<float, 16> a, Vector<float, 16> b, Vector<float, 16> c) {
  return _mm512_fmadd_ps(a, b, c);
}
OTNFM_INLINE Vector<double, 8> multiply_add(Vector<double, 8> a, Vector<double, 8> b, Vector<double, 8> c) {
  return _mm512_fmadd_pd(a, b, c);
}
OTNFM_INLINE Vector<float, 16> smaller(Vector<float, 16> a, Vector<float, 16> b) {
  return _mm512_min_ps(a, b);
}
OTNFM_INLINE Vector<float, 16> larger(Vector<float, 16> a, Vector<float, 16> b) {
  return _mm512_max_ps(a, b);
}
OTNFM_INLINE Vector<double, 8> smaller(Vector<double, 8> a, Vector<double, 8> b) {
  return _mm512_min_pd(a, b);
}
OTNFM_INLINE Vector<double, 8> larger(Vector<double, 8> a, Vector<double, 8> b) {
  return _mm512_max_pd(a, b);
}
OTNFM_INLINE std::uint32_t not_above(Vector<float, 16> a, Vector<float, 16> b) {
  return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
#endif

#if defined(__AVX2__) && defined(__FMA__)
OTNFM_INLINE Vector<float, 8> multiply_add(Vector<float, 8> a, Vector<float, 8> b, Vector<float, 8> c) {
  return _mm256_fmadd_ps(a, b, c);
}
OTNFM_INLINE Vector<double, 4> multiply_add(Vector<double, 4> a, Vector<double, 4> b, Vector<double, 4> c) {
  return _mm256_fmadd_pd(a, b, c);
}
OTNFM_INLINE Vector<float, 8> smaller(Vector<float, 8> a, Vector<float, 8> b) {
  return _mm256_min_ps(a, b);
}
OTNFM_INLINE Vector<float, 8> larger(Vector<float, 8> a, Vector<float, 8> b) {
  return _mm256_max_ps(a, b);
}
OTNFM_INLINE Vector<double, 4> smaller(Vector<double, 4> a, Vector<double, 4> b) {
  return _mm256_min_pd(a, b);
}
OTNFM_INLINE Vector<double, 4> larger(Vector<double, 4> a, Vector<double, 4> b) {
  return _mm256_max_pd(a, b);
}
OTNFM_INLINE std::uint32_t not_above(Vector<float, 8> a, Vector<float, 8> b) {
  return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ)));
}
#endif

/// What multiply_add does in a lane.
OTNFM_INLINE float multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
OTNFM_INLINE double multiply_add(double a, double b, double c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}
template <class V>
OTNFM_INLINE V multiply_add(V a, V b, V c) {
  for (int i = 0; i < kLanesOf<V>; ++i) c[i] = multiply_add(a[i], b[i], c[i]);
  return c;
}

/// Lane by lane; b's where either is no number.
template <class V>
OTNFM_INLINE V smaller(V a, V b) {
  return a < b ? a : b;
}
template <class V>
OTNFM_INLINE V larger(V a, V b) {
  return a > b ? a : b;
}

/// A bit for each lane where a <= b.
template <class V>
OTNFM_INLINE std::uint32_t not_above(V a, V b) {
  std::uint32_t bits = 0;
  for (int i = 0; i < kLanesOf<V>; ++i) bits |= std::uint32_t{a[i] <= b[i]} << i;
  return bits;
}

template <class V>
OTNFM_INLINE V absolute(V v) {
  return larger(v, -v);
}

/// 2^x, relative error below 2e-7; exactly 0 below -126.5, 2^126 from 126 on (a caller that could come there checks its
/// sums). 2^n 2^r with |r| <= 1/2; the polynomial is that of Cephes' exp2f.
OTNFM_INLINE Floats exp2_of(Floats x) {
  x = smaller(larger(x, all<Floats>(-127.0f)), all<Floats>(126.0f));
  // Adding 1.5 * 2^23 + 127 rounds to an integer, whose exponent bits then stand lowest; at n = -127 they are 0.
  constexpr float kRounder = 12582912.0f + 127.0f;
  const Floats shifted = x + all<Floats>(kRounder);
  const Floats r = x - (shifted - all<Floats>(kRounder));
  Floats p = multiply_add(r, all<Floats>(1.535336188319500e-4f), all<Floats>(1.339887440266574e-3f));
  p = multiply_add(p, r, all<Floats>(9.618437357674640e-3f));
  p = multiply_add(p, r, all<Floats>(5.550332471162809e-2f));
  p = multiply_add(p, r, all<Floats>(2.402264791363012e-1f));
  p = multiply_add(p, r, all<Floats>(6.931472028550421e-1f));
  p = multiply_add(p, r, all<Floats>(1.0f));
  return p * (Floats)((Integers)shifted << 23);
}

}  // namespace otnfm::host
