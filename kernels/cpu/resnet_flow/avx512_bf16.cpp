// AVX-512 with AVX512_BF16: the bfloat16 forward by dot products of pairs, which do two multiplications a lane.
// Everything else as in avx512.cpp.
//
// A tile of operands holds pairs of features: word r of row p is features 2 p (low half) and 2 p + 1 of row r. A weight
// matrix holds pairs of inputs, so that a pair of weights is broadcast against a pair of features. What is rounded to 8
// bits afterwards need not be exact to 24: SiLU's error here is below 1e-4.
#if defined(__x86_64__)
#define OTNFM_RESNET_LANES 16
#define OTNFM_RESNET_VARIANT avx512_bf16
#include "kernels/cpu/resnet_flow/tile.h"

namespace otnfm::cpu::resnet {
namespace avx512_bf16 {

constexpr std::int64_t pairs(std::int64_t n) {
  return (n + 1) / 2;
}

/// Words [0, 16) of a row of pairs: `even` in the low halves, `odd` in the high ones.
static inline __attribute__((always_inline)) __m512i pair_up(__m512 even, __m512 odd) {
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                              6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(interleave, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even)));
}

/// `features` rows of a tile, from `from`, as rows of pairs.
static inline void pair_up_rows(const float* from, std::int64_t features, std::int64_t columns, std::uint32_t* to) {
  for (std::int64_t f = 0; f < features; f += 2)
    for (std::int64_t r = 0; r < columns; r += kLanes) {
      const Vector odd = f + 1 < features ? load(from + (f + 1) * kTile + r) : Vector{};
      _mm512_storeu_si512(to + f / 2 * kTile + r, pair_up(load(from + f * kTile + r), odd));
    }
}

static inline __attribute__((always_inline)) __m512 rough_silu(__m512 z, __m512 table) {
  const __m512 rounder = _mm512_set1_ps(786432.0f);  // see Sigmoid
  const __m512 u = _mm512_mul_ps(Sigmoid::clamp(z), _mm512_set1_ps(-1.44269504f));
  const __m512 shifted = _mm512_add_ps(u, rounder), n = _mm512_sub_ps(shifted, rounder), f = _mm512_sub_ps(u, n);
  const __m512 start = _mm512_permutexvar_ps(_mm512_castps_si512(shifted), table);
  const __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(2.40226507e-1f), _mm512_set1_ps(6.93147181e-1f));
  const __m512 e = _mm512_scalef_ps(_mm512_fmadd_ps(_mm512_mul_ps(start, f), p, start), n);
  return _mm512_mul_ps(z, _mm512_rcp14_ps(_mm512_add_ps(_mm512_set1_ps(1.0f), e)));
}

/// Two rows of a tile through SiLU, as a row of pairs.
static inline void rough_silu_rows(const float* even, const float* odd, std::int64_t columns, std::uint32_t* to) {
  const __m512 table = Sigmoid().table;
#pragma GCC unroll 4
  for (std::int64_t r = 0; r < columns; r += kLanes)
    _mm512_storeu_si512(to + r, pair_up(rough_silu(load(even + r), table), rough_silu(load(odd + r), table)));
}

template <int O, int V>
static inline __attribute__((always_inline)) void multiply_pairs(std::int64_t P, const std::uint32_t* weight,
                                                                 const std::uint32_t* b, const float* bias, float* c) {
  __m512 sum[O][V];
  const std::int64_t row = P;
#pragma GCC unroll 8
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[o][v] = broadcast(bias[o]);
  for (std::int64_t p = 0; p < P; ++p, b += kTile, ++weight) {
    __m512i operand[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) operand[v] = _mm512_loadu_si512(b + v * kLanes);
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) {
      const __m512i factor = _mm512_set1_epi32(static_cast<int>(weight[o * row]));
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v)
        sum[o][v] =
            _mm512_dpbf16_ps(sum[o][v], reinterpret_cast<__m512bh>(factor), reinterpret_cast<__m512bh>(operand[v]));
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(c + o * kTile + v * kLanes, sum[o][v]);
}

template <int V, int O = kOutputs>
static inline __attribute__((always_inline)) void multiply_pairs_rest(std::int64_t outputs, std::int64_t P,
                                                                      const std::uint32_t* weight,
                                                                      const std::uint32_t* b, const float* bias,
                                                                      float* c) {
  if constexpr (O > 1)
    if (outputs < O) return multiply_pairs_rest<V, O - 1>(outputs, P, weight, b, bias, c);
  multiply_pairs<O, V>(P, weight, b, bias, c);
}

/// `outputs` <= kOutputs rows of a tile.
static __attribute__((noinline)) void product_pairs(std::int64_t outputs, std::int64_t P, std::int64_t columns,
                                                    const std::uint32_t* weight, const std::uint32_t* b,
                                                    const float* bias, float* c) {
  if (columns == kTile) return multiply_pairs_rest<kVectors>(outputs, P, weight, b, bias, c);
  for (std::int64_t r = 0; r < columns; r += kLanes) multiply_pairs_rest<1>(outputs, P, weight, b + r, bias, c + r);
}

static void forward_tile_bfloat16(const ResNetFlowForward& a, const std::uint32_t* weights, std::int64_t tile) {
  constexpr std::int64_t kInputs = ResNetFlowShape::kMaxDimension + 1, kWidth = ResNetFlowShape::kMaxWidth;
  alignas(64) float input[kInputs * kTile], phi[kInputs * kTile], g[kInputs * kTile], z[kOutputs * kTile];
  alignas(64) std::uint32_t operands[2][kWidth / 2 * kTile];
  const ResNetFlowShape& s = a.shape;
  const Rows rows(tile, a.x.rows());
  const std::int64_t d = s.dimension, columns = rows.columns;
  read_rows(a.x, rows, input);
  read_times(a.t, rows, input + d * kTile);
  for (std::int64_t k = 0; k < s.blocks; ++k) {
    evaluate_phi(s, input + d * kTile, a.weights.data + k * s.block_size(), columns, phi);
    pair_up_rows(input, d + 1, columns, operands[0]);
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const std::int64_t out = s.outputs(l), P = pairs(s.inputs(l));
      const std::uint32_t *from = operands[l % 2], *weight = weights + s.weight(k, l);
      std::uint32_t* const to = operands[(l + 1) % 2];
      const float* const bias = a.weights.data + s.bias(k, l);
      for (std::int64_t o = 0; o < out; o += kOutputs) {
        const std::int64_t count = out - o < kOutputs ? out - o : kOutputs;
        float* const here = l == s.depth ? g + o * kTile : z;
        product_pairs(count, P, columns, weight + o * P, from, bias + o, here);
        if (l == s.depth) continue;
        if (s.activation == Activation::silu && count % 2 == 0) {
          for (std::int64_t f = 0; f < count; f += 2)
            rough_silu_rows(z + f * kTile, z + (f + 1) * kTile, columns, to + (o + f) / 2 * kTile);
        } else {
          for (std::int64_t f = 0; f < count; ++f) activate_tile(s.activation, z + f * kTile, z + f * kTile, columns);
          pair_up_rows(z, count, columns, to + o / 2 * kTile);
        }
      }
    }
    add_residual(d, columns, phi, g, input);
  }
  write_rows(input, rows, a.y);
}

static void forward_rounded(const ResNetFlowForward& a, const std::uint8_t* rounded, std::int64_t begin,
                            std::int64_t end) {
  if (!a.bfloat16) return forward(a, rounded, begin, end);
  for (std::int64_t tile = begin; tile < end; ++tile)
    forward_tile_bfloat16(a, reinterpret_cast<const std::uint32_t*>(rounded), tile);
}

/// Each weight matrix [out, in] as pairs [out, in / 2], where it starts among the weights.
static void round_to_pairs(const ResNetFlowForward& a, std::uint8_t* rounded) {
  const ResNetFlowShape& s = a.shape;
  for (std::int64_t k = 0; k < s.blocks; ++k)
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const std::int64_t in = s.inputs(l), P = pairs(in);
      for (std::int64_t o = 0; o < s.outputs(l); ++o) {
        const float* const from = a.weights.data + s.weight(k, l) + o * in;
        std::uint32_t* const to = reinterpret_cast<std::uint32_t*>(rounded) + s.weight(k, l) + o * P;
        for (std::int64_t p = 0; p < P; ++p) {
          const std::uint32_t low = bfloat16(from[2 * p]).bits;
          const std::uint32_t high = 2 * p + 1 < in ? bfloat16(from[2 * p + 1]).bits : 0;
          to[p] = low | high << 16;
        }
      }
    }
}

}  // namespace avx512_bf16

extern const Variant kAvx512Bf16;
const Variant kAvx512Bf16 = {"avx512_bf16",
                             [] {
                               return __builtin_cpu_supports("avx512f") != 0 &&
                                      __builtin_cpu_supports("avx512bw") != 0 &&
                                      __builtin_cpu_supports("avx512dq") != 0 &&
                                      __builtin_cpu_supports("avx512vl") != 0 &&
                                      __builtin_cpu_supports("avx512bf16") != 0;
                             },
                             avx512_bf16::forward_rounded, avx512_bf16::backward, avx512_bf16::round_to_pairs};

}  // namespace otnfm::cpu::resnet
#endif
