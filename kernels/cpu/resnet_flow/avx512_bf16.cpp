// AVX-512 with AVX512_BF16: the bfloat16 forward by dot products of pairs, which do two multiplications a lane.
// Everything else as in avx512.cpp.
//
// A tile of operands holds pairs of features: word r of row p is features 2 p (low half) and 2 p + 1 of row r. The
// packed weights hold pairs of inputs, so that a pair of weights is broadcast against a pair of features. What is
// rounded to 8 bits afterwards need not be exact to 24: SiLU's error here is below 1e-4.
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

/// `weight` is [P][row], of which O outputs are taken.
template <int O, int V>
static inline __attribute__((always_inline)) void multiply_pairs(std::int64_t P, const std::uint32_t* weight,
                                                                 std::int64_t row, const std::uint32_t* b,
                                                                 const float* bias, float* c) {
  __m512 sum[O][V];
#pragma GCC unroll 8
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[o][v] = broadcast(bias[o]);
  for (std::int64_t p = 0; p < P; ++p, b += kTile, weight += row) {
    __m512i operand[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) operand[v] = _mm512_loadu_si512(b + v * kLanes);
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) {
      const __m512i factor = _mm512_set1_epi32(static_cast<int>(weight[o]));
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
                                                                      const std::uint32_t* weight, std::int64_t row,
                                                                      const std::uint32_t* b, const float* bias,
                                                                      float* c) {
  if constexpr (O > 1)
    if (outputs < O) return multiply_pairs_rest<V, O - 1>(outputs, P, weight, row, b, bias, c);
  multiply_pairs<O, V>(P, weight, row, b, bias, c);
}

/// `outputs` <= kOutputs rows of a tile.
static __attribute__((noinline)) void product_pairs(std::int64_t outputs, std::int64_t P, std::int64_t columns,
                                                    const std::uint32_t* weight, std::int64_t row,
                                                    const std::uint32_t* b, const float* bias, float* c) {
  if (columns == kTile) return multiply_pairs_rest<kVectors>(outputs, P, weight, row, b, bias, c);
  for (std::int64_t r = 0; r < columns; r += kLanes)
    multiply_pairs_rest<1>(outputs, P, weight, row, b + r, bias, c + r);
}

static void forward_tile_bfloat16(const ResNetFlowForward& a, const float* packed, std::int64_t tile) {
  constexpr std::int64_t kInputs = ResNetFlowShape::kMaxDimension + 1, kWidth = ResNetFlowShape::kMaxWidth;
  alignas(64) float input[kInputs * kTile], phi[kInputs * kTile], g[kInputs * kTile], z[(kOutputs + 1) * kTile];
  alignas(64) std::uint32_t operands[2][kWidth / 2 * kTile];
  const ResNetFlowShape& s = a.shape;
  const Packed layout{s};
  const Rows rows(tile, a.x.rows());
  const std::int64_t d = s.dimension, columns = rows.columns;
  read_rows(a.x, rows, input);
  read_times(a.t, rows, input + d * kTile);
  for (std::int64_t k = 0; k < s.blocks; ++k) {
    evaluate_phi(s, input + d * kTile, a.weights.data + k * s.block_size(), columns, phi);
    pair_up_rows(input, d + 1, columns, operands[0]);
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const std::int64_t out = s.outputs(l), P = pairs(s.inputs(l)), row = layout.row(l);
      const std::uint32_t* const weight = reinterpret_cast<const std::uint32_t*>(packed + layout.weight(k, l));
      const std::uint32_t* const from = operands[l % 2];
      std::uint32_t* const to = operands[(l + 1) % 2];
      const float* const bias = a.weights.data + s.bias(k, l);
      for (std::int64_t o = 0; o < out; o += kOutputs) {
        const std::int64_t count = out - o < kOutputs ? out - o : kOutputs;
        float* const here = l == s.depth ? g + o * kTile : z;
        product_pairs(count, P, columns, weight + o, row, from, bias + o, here);
        if (l == s.depth) continue;
        if (s.activation == Activation::silu) {
          if (count % 2 == 1) std::memset(z + count * kTile, 0, kTile * sizeof(float));
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

/// Pairs of neighbouring features are what 16 features rounded lie there as.
struct PairProducts {
  using Word = std::uint32_t;

  static std::int64_t words(std::int64_t features) { return pairs(features); }
  static __attribute__((always_inline)) Vector accumulate(Word x, const Word* weight, Vector sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_loadu_si512(weight)),
                            reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(x))));
  }
  static void operands(const float* features, std::int64_t n, Word* to) {
    for (std::int64_t i = 0; i < n; i += kLanes) round_to(to + i / 2, load(features + i));
  }
  static void activate(Activation activation, float* z, std::int64_t n, Word* to) {
    if (activation == Activation::silu) {
      const __m512 table = Sigmoid().table;
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < n; i += kLanes) round_to(to + i / 2, rough_silu(load(z + i), table));
    } else {
      activate_tile(activation, z, z, n);
      operands(z, n, to);
    }
  }

 private:
  static __attribute__((always_inline)) void round_to(Word* to, __m512 features) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(features)));
  }
};

static void forward_bfloat16(const ResNetFlowForward& a, const float* packed, std::int64_t begin, std::int64_t end) {
  if (!a.bfloat16) return forward(a, packed, begin, end);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const Rows rows(tile, a.x.rows());
    if (rows.count <= kFewRows)
      forward_few_rows(PairProducts(), a, packed, rows.begin, rows.count);
    else
      forward_tile_bfloat16(a, packed, tile);
  }
}

/// Of bfloat16 weights pairs [in / 2][out].
static void pack_pairs(const ResNetFlowShape& s, const float* weights, bool bfloat16, float* packed) {
  pack(s, weights, bfloat16, packed);
  if (!bfloat16) return;
  const Packed layout{s};
  for (std::int64_t k = 0; k < s.blocks; ++k)
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const std::int64_t in = s.inputs(l), row = layout.row(l);
      float* const weight = packed + layout.weight(k, l);
      for (std::int64_t p = 0; p < pairs(in); ++p)
        for (std::int64_t o = 0; o < row; ++o) {
          const float low = weight[2 * p * row + o], high = 2 * p + 1 < in ? weight[(2 * p + 1) * row + o] : 0.0f;
          const std::uint32_t pair = otnfm::bfloat16(low).bits | std::uint32_t{otnfm::bfloat16(high).bits} << 16;
          std::memcpy(weight + p * row + o, &pair, sizeof(pair));
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
                             avx512_bf16::forward_bfloat16, avx512_bf16::backward, avx512_bf16::pack_pairs};

}  // namespace otnfm::cpu::resnet
#endif
