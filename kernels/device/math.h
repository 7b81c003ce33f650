// Scalar functions that every backend shares. On the host they are branch-free, so that loops over them vectorise (a
// call into libm does not); on the GPU exp is the hardware's. Relative error of each against double: below 4e-7 (the
// normal distribution: 5e-7), shown in tests/kernels/math.cpp.
#pragma once

#include <cmath>

#include "kernels/device/bfloat16.h"
#include "kernels/device/host_device.h"

namespace otnfm {

// The three operations whose rounding must not depend on the compiler: nvcc contracts a * b + c into a fused
// multiply-add on its own account, these it leaves alone. (Host code is compiled with -ffp-contract=off.)
OTNFM_HD float fma_rn(float a, float b, float c) {
#if OTNFM_ON_GPU
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
OTNFM_HD float mul_rn(float a, float b) {
#if OTNFM_ON_GPU
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
OTNFM_HD float add_rn(float a, float b) {
#if OTNFM_ON_GPU
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

OTNFM_HD float select(bool condition, float yes, float no) {
  return condition ? yes : no;
}

/// e^x; infinity above 88.72, 0 below -87.3 (on the host from -86.99, as the smallest normal numbers are flushed); NaN
/// stays NaN. 2^(n-1) * 2p(r), n = round(x / ln 2), p the Taylor polynomial of degree 7 on |r| <= ln(2)/2, whose
/// remainder is 5e-9.
OTNFM_HD float exp_of(float x) {
#if OTNFM_ON_GPU
  return expf(x);
#else
  const float above = x < -87.3f ? -87.3f : x, clamped = above > 89.0f ? 89.0f : above;
  // Adding 1.5 * 2^23 rounds to an integer, which then stands in the lowest bits; 126 more, and shifted up they are the
  // exponent of 2^(n-1). n = 128 gives 2^127, so that what overflows is the product, where e^x does; n = -126 gives 0.
  constexpr float kRounder = 12582912.0f + 126.0f;
  const float n_shifted = fma_rn(clamped, 1.44269504f, kRounder);
  const float n = n_shifted - kRounder;
  const float r = fma_rn(n, 2.12194440e-4f, fma_rn(n, -0.693359375f, clamped)) /* ln 2 in two parts */;
  float p = fma_rn(r, 2.0f / 5040, 2.0f / 720);
  p = fma_rn(p, r, 2.0f / 120);
  p = fma_rn(p, r, 2.0f / 24);
  p = fma_rn(p, r, 2.0f / 6);
  p = fma_rn(p, r, 1.0f);
  p = fma_rn(p, r, 2.0f);
  p = fma_rn(p, r, 2.0f);
  return p * float_of_bits(bits_of(n_shifted) << 23);
#endif
}

/// 2^x; 0 below -126 (on the host from -125.5, as the smallest normal numbers are flushed), infinity from 128 on, NaN
/// stays NaN. On the host 2^(n-1) 2 p(r), n = round(x), |r| <= 1/2, p of degree 6 as in the Cephes library; on the GPU
/// the hardware's, 2 ulp.
OTNFM_HD float exp2_of(float x) {
#if OTNFM_ON_GPU
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  const float above = x < -126.0f ? -126.0f : x, clamped = above > 128.0f ? 128.0f : above;
  constexpr float kRounder = 12582912.0f + 126.0f;  // see exp_of; n = -126 gives 0
  const float n_shifted = clamped + kRounder;
  const float r = clamped - (n_shifted - kRounder);
  float p = fma_rn(r, 2 * 1.535336188319500e-4f, 2 * 1.339887440266574e-3f);
  p = fma_rn(p, r, 2 * 9.618437357674640e-3f);
  p = fma_rn(p, r, 2 * 5.550332471162809e-2f);
  p = fma_rn(p, r, 2 * 2.402264791363012e-1f);
  p = fma_rn(p, r, 2 * 6.931472028550421e-1f);
  p = fma_rn(p, r, 2.0f);
  return p * float_of_bits(bits_of(n_shifted) << 23);
#endif
}

/// atanh(s) / s for |s| <= 1/3; the remainder is 1e-9.
OTNFM_HD float atanh_series(float s) {
  const float z = s * s;
  float p = fma_rn(z, 1.0f / 17, 1.0f / 15);
  p = fma_rn(p, z, 1.0f / 13);
  p = fma_rn(p, z, 1.0f / 11);
  p = fma_rn(p, z, 1.0f / 9);
  p = fma_rn(p, z, 1.0f / 7);
  p = fma_rn(p, z, 1.0f / 5);
  p = fma_rn(p, z, 1.0f / 3);
  return fma_rn(p, z, 1.0f);
}

/// Natural logarithm of a positive normal number, the same bits on every backend: m 2^e with m in [sqrt(1/2), sqrt(2)),
/// then 2 atanh((m - 1) / (m + 1)).
OTNFM_HD float log_exact_bits(float x) {
  const std::uint32_t shifted = bits_of(x) - 0x3f3504f3u;  // the bits of sqrt(1/2)
  const float e = static_cast<float>(static_cast<std::int32_t>(shifted) >> 23);
  const float m = float_of_bits((shifted & 0x007fffffu) + 0x3f3504f3u);
  const float numerator = add_rn(m, -1.0f), denominator = add_rn(m, 1.0f);
#if OTNFM_ON_GPU
  const float s = __fdiv_rn(numerator, denominator);
#else
  const float s = numerator / denominator;
#endif
  const float z = mul_rn(s, s);
  float p = fma_rn(z, 1.0f / 11, 1.0f / 9);
  p = fma_rn(p, z, 1.0f / 7);
  p = fma_rn(p, z, 1.0f / 5);
  p = fma_rn(p, z, 1.0f / 3);
  const float twice_s = add_rn(s, s);
  const float small = fma_rn(mul_rn(p, z), twice_s, twice_s);
  return fma_rn(e, 0.693147182f, fma_rn(e, -1.90465421e-9f, small));
}

/// sin and cos of `quadrant` quarter turns and r radians, |r| <= pi/4, the same bits on every backend. Taylor
/// polynomials, remainder below 4e-9.
OTNFM_HD void sincos_reduced(int quadrant, float r, float& sine, float& cosine) {
  const float z = mul_rn(r, r);
  float s = fma_rn(z, 2.75573192e-6f, -1.98412698e-4f);
  s = fma_rn(s, z, 8.33333333e-3f);
  s = fma_rn(s, z, -1.66666667e-1f);
  s = fma_rn(mul_rn(s, z), r, r);
  float c = fma_rn(z, 2.48015873e-5f, -1.38888889e-3f);
  c = fma_rn(c, z, 4.16666667e-2f);
  c = fma_rn(c, z, -0.5f);
  c = fma_rn(c, z, 1.0f);
  quadrant &= 3;
  const bool swapped = (quadrant & 1) != 0;
  const float sine_of = select(swapped, c, s), cosine_of = select(swapped, s, c);
  sine = select((quadrant & 2) != 0, -sine_of, sine_of);
  cosine = select(quadrant == 1 || quadrant == 2, -cosine_of, cosine_of);
}

/// sin(2 pi u) and cos(2 pi u) for u in [0, 1), the same bits on every backend.
OTNFM_HD void sincos_turns(float u, float& sine, float& cosine) {
  const float quarter = mul_rn(u, 4.0f);                                     // exact
  const float nearest = add_rn(add_rn(quarter, 12582912.0f), -12582912.0f);  // round(quarter): 0..4
  const float r = mul_rn(add_rn(quarter, -nearest), 1.57079637f);            // |r| <= pi/4
  sincos_reduced(static_cast<int>(nearest), r, sine, cosine);
}

/// sin x and cos x, absolute error below 1.5e-7 for |x| <= 10^4 (and no meaning beyond 6 * 10^6). The quarter turns are
/// taken off with pi/2 in three parts.
OTNFM_HD void sincos_of(float x, float& sine, float& cosine) {
  const float shifted = fma_rn(x, 0.636619772f, 12582912.0f);  // adding 1.5 * 2^23 rounds to an integer
  const float n = add_rn(shifted, -12582912.0f);
  const float r = fma_rn(n, 1.71512451e-15f, fma_rn(n, 4.37113883e-8f, fma_rn(n, -1.57079637f, x)));
  sincos_reduced(static_cast<int>(bits_of(shifted)), r, sine, cosine);
}

OTNFM_HD float sigmoid(float x) {
  return 1.0f / (1.0f + exp_of(-x));
}

/// Near 0 the odd polynomial keeps the relative error small, where 1 - 2 / (e^2x + 1) would cancel. (Coefficients:
/// minimax on |x| < 0.625, as in the Cephes library.) tanh_of(0) is exactly 0.
OTNFM_HD float tanh_of(float x) {
  const float z = x * x;
  float p = fma_rn(z, -5.70498872745e-3f, 2.06390887954e-2f);
  p = fma_rn(p, z, -5.37397155531e-2f);
  p = fma_rn(p, z, 1.33314422036e-1f);
  p = fma_rn(p, z, -3.33332819422e-1f);
  const float near_zero = fma_rn(p * z, x, x);
  const float elsewhere = 1.0f - 2.0f / (exp_of(2.0f * x) + 1.0f);
  return select(x < 0.625f && x > -0.625f, near_zero, elsewhere);
}

/// log(1 + u), 0 <= u <= 1.
OTNFM_HD float log1p_small(float u) {
  const float s = u / (2.0f + u);
  return 2.0f * s * atanh_series(s);
}

/// log(1 + u), u >= 0.
OTNFM_HD float log1p_of(float u) {
  return select(u > 1.0f, log_exact_bits(1.0f + u), log1p_small(u));  // NaN stays NaN
}

/// log(1 + e^x).
OTNFM_HD float softplus(float x) {
  const float magnitude = x < 0.0f ? -x : x;
  return select(x > 0.0f, x, 0.0f) + log1p_small(exp_of(-magnitude));
}

/// The upper tail of the standard normal distribution, P(Z > z) for z >= 0; 0 from z = 13 on. With a = z / sqrt(2) and
/// t = 1 / (1 + a/2), the form of Press et al., Numerical Recipes, section 6.2: erfc(a) = t exp(-a^2 + p(t)); p of
/// degree 9 interpolates at the Chebyshev nodes of 0.18 <= t <= 1, error 4.3e-8. The exponent is carried with its
/// rounding errors, which e^x would multiply by up to 80.
OTNFM_HD float normal_tail(float z) {
  const float t = 1.0f / fma_rn(z, 0.353553391f, 1.0f);
  float p = fma_rn(t, 0.136616751f, -0.635210354f);
  p = fma_rn(p, t, 1.04848421f);
  p = fma_rn(p, t, -0.550824105f);
  p = fma_rn(p, t, -0.201827898f);
  p = fma_rn(p, t, 0.0666086062f);
  p = fma_rn(p, t, 0.0120820847f);
  p = fma_rn(p, t, 0.391424089f);
  p = fma_rn(p, t, 0.998066213f);
  const float slope = p, constant = -1.26541956f;
  p = fma_rn(slope, t, constant);
  const float p_error = fma_rn(slope, t, constant - p);
  const float square = mul_rn(z, z), square_error = fma_rn(z, z, -square);
  const float exponent = fma_rn(-0.5f, square, p);
  const float exponent_error = p - fma_rn(0.5f, square, exponent) + (p_error - 0.5f * square_error);
  const float tail = 0.5f * t * exp_of(exponent);
  return select(exponent > -86.0f, fma_rn(tail, exponent_error, tail), select(z == z, 0.0f, z));
}

/// The standard normal distribution function.
OTNFM_HD float normal_cdf(float x) {
  const float tail = normal_tail(x < 0.0f ? -x : x);
  return select(x < 0.0f, tail, 1.0f - tail);
}

}  // namespace otnfm
