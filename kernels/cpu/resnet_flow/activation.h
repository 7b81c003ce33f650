// Activations and time functions over a tile, whose counts are multiples of kRowPad, so that every number goes through
// the same instructions wherever it stands.
//
// SiLU, 11 multiplications or so a vector: with u = -z log2 e rounded to n, a multiple of 1/16 (AVX2: 1/8), e^-z =
// 2^floor(n) T[n mod 1] 2^(u - n), T a table in one register, the last factor a polynomial of degree 3 on |u - n| <=
// 1/32 (AVX2: 4 on 1/16; remainders 9e-9 and 2e-9); z / (1 + e^-z) by the hardware's 14 bits and one Newton step
// (remainder 4e-9), on AVX2, whose hardware gives 12, by division. Relative error below 3e-7 for |z| <= 10; below z =
// -10 it grows by 1.3e-8 |z|, of a result that is at most 5e-4. The other activations, and a portable build, take
// kernels/device/activation.h.
#pragma once

#include "kernels/cpu/resnet_flow/product.h"

namespace otnfm::cpu::resnet::OTNFM_PROCESSOR {

#if OTNFM_VECTOR_BYTES == 64

struct Sigmoid {
  __m512 table = _mm512_setr_ps(1.0f, 1.04427378f, 1.09050773f, 1.13878863f, 1.18920712f, 1.24185781f, 1.29683955f,
                                1.35425555f, 1.41421356f, 1.47682615f, 1.54221083f, 1.61049033f, 1.68179283f,
                                1.75625216f, 1.83400809f, 1.91520656f);

  /// e^-z for -87 <= z <= 88
  __attribute__((always_inline)) __m512 exponential(__m512 z) const {
    const __m512 log2_e = _mm512_set1_ps(-1.44269504f);
    const __m512 rounder = _mm512_set1_ps(786432.0f);  // 1.5 * 2^19: its last place is 1/16
    const __m512 shifted = _mm512_fmadd_ps(z, log2_e, rounder);
    const __m512 n = _mm512_sub_ps(shifted, rounder);
    const __m512 f = _mm512_fmsub_ps(z, log2_e, n);
    const __m512 start = _mm512_permutexvar_ps(_mm512_castps_si512(shifted), table);
    __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(5.55041087e-2f), _mm512_set1_ps(2.40226507e-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.93147181e-1f));
    return _mm512_scalef_ps(_mm512_fmadd_ps(_mm512_mul_ps(start, f), p, start), n);
  }

  static __attribute__((always_inline)) __m512 clamp(__m512 z) {  // NaN stays
    return _mm512_max_ps(_mm512_set1_ps(-87.0f), _mm512_min_ps(_mm512_set1_ps(88.0f), z));
  }

  static __attribute__((always_inline)) __m512 quotient(__m512 v, __m512 below) {
    const __m512 inverse = _mm512_rcp14_ps(below), q = _mm512_mul_ps(v, inverse);
    return _mm512_fmadd_ps(q, _mm512_fnmadd_ps(below, inverse, _mm512_set1_ps(1.0f)), q);
  }
};

#elif OTNFM_VECTOR_BYTES == 32

struct Sigmoid {
  __m256 table =
      _mm256_setr_ps(1.0f, 1.09050773f, 1.18920712f, 1.29683955f, 1.41421356f, 1.54221083f, 1.68179283f, 1.83400809f);

  /// e^-z for -87 <= z <= 87; anything where z is NaN
  __attribute__((always_inline)) __m256 exponential(__m256 z) const {
    const __m256 log2_e = _mm256_set1_ps(-1.44269504f);
    const __m256 rounder = _mm256_set1_ps(1572864.0f);  // 1.5 * 2^20: its last place is 1/8
    const __m256 shifted = _mm256_fmadd_ps(z, log2_e, rounder);
    const __m256 f = _mm256_fmsub_ps(z, log2_e, _mm256_sub_ps(shifted, rounder));
    const __m256i eighths = _mm256_castps_si256(shifted);
    const __m256 start = _mm256_permutevar8x32_ps(table, eighths);
    __m256 p = _mm256_fmadd_ps(f, _mm256_set1_ps(9.61812911e-3f), _mm256_set1_ps(5.55041087e-2f));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(2.40226507e-1f));
    p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(6.93147181e-1f));
    const __m256 mantissa = _mm256_fmadd_ps(_mm256_mul_ps(start, f), p, start);
    const __m256i exponent = _mm256_slli_epi32(_mm256_srli_epi32(eighths, 3), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(mantissa), exponent));
  }

  static __attribute__((always_inline)) __m256 clamp(__m256 z) {  // NaN stays
    return _mm256_max_ps(_mm256_set1_ps(-87.0f), _mm256_min_ps(_mm256_set1_ps(87.0f), z));
  }

  static __attribute__((always_inline)) __m256 quotient(__m256 v, __m256 below) { return _mm256_div_ps(v, below); }
};

#endif

#if OTNFM_VECTOR_BYTES >= 32

static inline void silu(const float* z, float* y, std::int64_t n) {
  const Sigmoid sigmoid;
  const Floats one = all<Floats>(1.0f);
#pragma GCC unroll 4
  for (std::int64_t i = 0; i < n; i += kFloats) {
    const Floats v = load<Floats>(z + i), below = one + sigmoid.exponential(Sigmoid::clamp(v));
    store(y + i, Sigmoid::quotient(v, below));
  }
}

/// With s = sigmoid(z), e = e^-z: the slope s + z s (1 - s) is s + y e s, where nothing cancels.
static inline void silu_with_slope(const float* z, float* y, float* slope, std::int64_t n) {
  const Sigmoid sigmoid;
  const Floats one = all<Floats>(1.0f);
#pragma GCC unroll 4
  for (std::int64_t i = 0; i < n; i += kFloats) {
    const Floats v = load<Floats>(z + i), e = sigmoid.exponential(Sigmoid::clamp(v));
    const Floats s = Sigmoid::quotient(one, one + e), result = v * s;
    store(y + i, result);
    store(slope + i, multiply_add(result, e * s, s));
  }
}

#endif

static inline void round_to_bfloat16(float* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(bfloat16(x[i]));
}

/// y = activation(z), n a multiple of kRowPad; y may be z.
static void activate_tile(Activation activation, const float* z, float* y, std::int64_t n) {
#if OTNFM_VECTOR_BYTES >= 32
  if (activation == Activation::silu) return silu(z, y, n);
#endif
  with_activation(
      activation, [&]<Activation kind>() __attribute__((always_inline)) {
        for (std::int64_t i = 0; i < n; i += kRowPad) {
          float in[kRowPad], out[kRowPad];
          std::memcpy(in, z + i, sizeof(in));
          for (int l = 0; l < kRowPad; ++l) out[l] = activate<kind>(in[l]);
          std::memcpy(y + i, out, sizeof(out));
        }
      });
}

/// The same with slope = d activation(z) / dz.
static void activate_tile_with_slope(Activation activation, const float* z, float* y, float* slope, std::int64_t n) {
#if OTNFM_VECTOR_BYTES >= 32
  if (activation == Activation::silu) return silu_with_slope(z, y, slope, n);
#endif
  with_activation(
      activation, [&]<Activation kind>() __attribute__((always_inline)) {
        for (std::int64_t i = 0; i < n; i += kRowPad) {
          float in[kRowPad], out[kRowPad], derivative[kRowPad];
          std::memcpy(in, z + i, sizeof(in));
          for (int l = 0; l < kRowPad; ++l) out[l] = activate<kind>(in[l]);
          for (int l = 0; l < kRowPad; ++l) derivative[l] = activate_derivative<kind>(in[l]);
          std::memcpy(y + i, out, sizeof(out));
          std::memcpy(slope + i, derivative, sizeof(derivative));
        }
      });
}

/// phi[j][r] for the times t[r]; w [K, d] as in kernels/time_function.h.
static void evaluate_phi(const ResNetFlowShape& s, const float* t, const float* w, std::int64_t columns, float* phi) {
  const std::int64_t d = s.dimension, terms = time_function_terms(s.phi, s.phi_weights);
  with_time_function(
      s.phi, [&]<TimeFunctionKind kind>() __attribute__((always_inline)) {
        for (std::int64_t j = 0; j < d; ++j) {
          float bound = 1.0f;
          if constexpr (kind == TimeFunctionKind::bounded_fourier) bound = fourier_bound(w + j, d, terms);
          for (std::int64_t r = 0; r < columns; r += kRowPad) {
            float time[kRowPad], sum[kRowPad];
            std::memcpy(time, t + r, sizeof(time));
            if constexpr (kind == TimeFunctionKind::identity) {
              std::memcpy(sum, time, sizeof(sum));
            } else {
              for (int l = 0; l < kRowPad; ++l) sum[l] = 0.0f;
              for (std::int64_t k = 0; k < terms; ++k) {
                const float a = w[k * d + j], frequency = is_fourier(kind) ? w[(terms + k) * d + j] : 0.0f;
                for (int l = 0; l < kRowPad; ++l) sum[l] += time_function_term<kind>(time[l], a, frequency);
              }
              if constexpr (kind == TimeFunctionKind::bounded_fourier)
                for (int l = 0; l < kRowPad; ++l) sum[l] *= bound;
            }
            std::memcpy(phi + j * kTile + r, sum, sizeof(sum));
          }
        }
      });
}

/// phi[j * R + r] for the times t[r], by the same operations.
template <int R>
static void evaluate_phi_of_rows(const ResNetFlowShape& s, const float* t, const float* w, float* phi) {
  const std::int64_t d = s.dimension, count = d * R, terms = time_function_terms(s.phi, s.phi_weights);
  with_time_function(
      s.phi, [&]<TimeFunctionKind kind>() __attribute__((always_inline)) {
        for (std::int64_t begin = 0; begin < count; begin += kRowPad) {
          const int lanes = static_cast<int>(count - begin < kRowPad ? count - begin : kRowPad);
          float time[kRowPad] = {}, sum[kRowPad] = {};
          for (int l = 0; l < lanes; ++l) time[l] = t[(begin + l) % R];
          if constexpr (kind == TimeFunctionKind::identity) std::memcpy(sum, time, sizeof(sum));
          for (std::int64_t k = 0; k < terms; ++k) {
            float a[kRowPad] = {}, frequency[kRowPad] = {};
            for (int l = 0; l < lanes; ++l) a[l] = w[k * d + (begin + l) / R];
            if constexpr (is_fourier(kind))
              for (int l = 0; l < lanes; ++l) frequency[l] = w[(terms + k) * d + (begin + l) / R];
            for (int l = 0; l < kRowPad; ++l) sum[l] += time_function_term<kind>(time[l], a[l], frequency[l]);
          }
          if constexpr (kind == TimeFunctionKind::bounded_fourier)
            for (int l = 0; l < lanes; ++l) sum[l] *= fourier_bound(w + (begin + l) / R, d, terms);
          std::memcpy(phi + begin, sum, static_cast<std::size_t>(lanes) * sizeof(float));
        }
      });
}

/// dw [K, d] += sum_r dphi[j][r] d phi_j(t[r]) / dw, before what bounded_fourier does to it at the end
/// (bound_fourier_gradient). Rows are added in lanes, in double.
static void add_phi_gradient(const ResNetFlowShape& s, const float* t, const float* w, const float* dphi,
                             std::int64_t columns, float* dw) {
  const std::int64_t d = s.dimension, terms = time_function_terms(s.phi, s.phi_weights);
  with_time_function(
      s.phi, [&]<TimeFunctionKind kind>() __attribute__((always_inline)) {
        if constexpr (kind != TimeFunctionKind::identity)
          for (std::int64_t j = 0; j < d; ++j)
            for (std::int64_t k = 0; k < terms; ++k) {
              const float a = w[k * d + j], frequency = is_fourier(kind) ? w[(terms + k) * d + j] : 0.0f;
              double sum_a[kRowPad] = {}, sum_s[kRowPad] = {};
              for (std::int64_t r = 0; r < columns; r += kRowPad)
                for (int l = 0; l < kRowPad; ++l) {
                  float da, ds = 0.0f;
                  time_function_term_gradient<kind>(t[r + l], a, frequency, da, ds);
                  sum_a[l] += dphi[j * kTile + r + l] * da;
                  if constexpr (is_fourier(kind)) sum_s[l] += dphi[j * kTile + r + l] * ds;
                }
              double total_a = 0, total_s = 0;
              for (int l = 0; l < kRowPad; ++l) total_a += sum_a[l], total_s += sum_s[l];
              dw[k * d + j] += static_cast<float>(total_a);
              if constexpr (is_fourier(kind)) dw[(terms + k) * d + j] += static_cast<float>(total_s);
            }
      });
}

}  // namespace otnfm::cpu::resnet::OTNFM_PROCESSOR
