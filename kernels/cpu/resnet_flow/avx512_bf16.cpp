// AVX-512 with AVX512_BF16: bfloat16 by dot products of pairs, which do two multiplications a lane. Everything else as
// in avx512.cpp.
//
// A tile of operands holds pairs of features: word r of row p is features 2 p (low half) and 2 p + 1 of row r. The
// packed weights hold pairs of inputs, so that a pair of weights is broadcast against a pair of features. What is
// rounded to 8 bits afterwards need not be exact to 24: SiLU's error in sampling is below 1e-4. In training it is as in
// float32, so that hardly an operand is rounded to another neighbour than the layers' own ops round it to.
//
// The gradient of an input pairs outputs up, that of a weight the rows of the batch: the forward keeps its outputs as
// rows of bfloat16 numbers, of which each two are such a pair.
#if defined(__x86_64__) && !defined(OTNFM_NO_AVX512)
#define OTNFM_VECTOR_BYTES 64
#define OTNFM_PROCESSOR avx512_bf16
#include "kernels/cpu/resnet_flow/tile.h"

namespace otnfm::cpu::resnet {
namespace avx512_bf16 {

constexpr std::int64_t pairs(std::int64_t n) {
  return Rounded::pairs(n);
}

/// Words [0, 16) of a row of pairs: `even` in the low halves, `odd` in the high ones.
OTNFM_INLINE __m512i pair_up(__m512 even, __m512 odd) {
  const __m512i interleave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                              6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(interleave, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even)));
}

/// `features` rows of a tile, from `from`, as rows of pairs.
static inline void pair_up_rows(const float* from, std::int64_t features, std::int64_t columns, float* to) {
  for (std::int64_t f = 0; f < features; f += 2)
    for (std::int64_t r = 0; r < columns; r += kFloats) {
      const Floats odd = f + 1 < features ? load<Floats>(from + (f + 1) * kTile + r) : Floats{};
      _mm512_storeu_si512(to + f / 2 * kTile + r, pair_up(load<Floats>(from + f * kTile + r), odd));
    }
}

/// The same rows as pairs of neighbouring rows of the batch: word r / 2 of feature f is rows r and r + 1.
static inline void round_rows(const float* from, std::int64_t features, std::int64_t columns, float* to) {
  for (std::int64_t f = 0; f < features; ++f)
    for (std::int64_t r = 0; r < columns; r += kFloats)
      _mm256_storeu_epi32(to + (f * kTile + r) / 2,
                          reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(load<Floats>(from + f * kTile + r))));
}

OTNFM_INLINE __m512 rough_silu(__m512 z, __m512 table) {
  const __m512 rounder = _mm512_set1_ps(786432.0f);  // see Sigmoid
  const __m512 u = _mm512_mul_ps(Sigmoid::clamp(z), _mm512_set1_ps(-1.44269504f));
  const __m512 shifted = _mm512_add_ps(u, rounder), n = _mm512_sub_ps(shifted, rounder), f = _mm512_sub_ps(u, n);
  const __m512 start = _mm512_permutexvar_ps(_mm512_castps_si512(shifted), table);
  const __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(2.40226507e-1f), _mm512_set1_ps(6.93147181e-1f));
  const __m512 e = _mm512_scalef_ps(_mm512_fmadd_ps(_mm512_mul_ps(start, f), p, start), n);
  return _mm512_mul_ps(z, _mm512_rcp14_ps(_mm512_add_ps(_mm512_set1_ps(1.0f), e)));
}

/// Two rows of a tile through SiLU, as a row of pairs.
static inline void rough_silu_rows(const float* even, const float* odd, std::int64_t columns, float* to) {
  const __m512 table = Sigmoid().table;
#pragma GCC unroll 4
  for (std::int64_t r = 0; r < columns; r += kFloats)
    _mm512_storeu_si512(to + r,
                        pair_up(rough_silu(load<Floats>(even + r), table), rough_silu(load<Floats>(odd + r), table)));
}

/// n neighbouring floats as (n + 1) / 2 words.
static inline void round_row(const float* from, std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; i += kFloats) {
    const std::int64_t count = n - i < kFloats ? n - i : kFloats;
    const __m512 some = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from + i);
    _mm256_mask_storeu_epi32(to + i / 2, static_cast<__mmask8>((1u << pairs(count)) - 1),
                             reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(some)));
  }
}

/// What a product does with pairs.
struct Pairs {
  static __attribute__((always_inline)) Floats accumulate(Floats a, Floats b, Floats sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};

template <bool keeps>
static void forward_tile_bfloat16(const ResNetFlowForward& a, const float* packed, std::int64_t tile) {
  constexpr std::int64_t kInputs = ResNetFlowShape::kMaxDimension + 1, kWidth = ResNetFlowShape::kMaxWidth;
  alignas(64) float input[kInputs * kTile], phi_here[kInputs * kTile], g_here[kInputs * kTile];
  alignas(64) float z[(kOutputs + 1) * kTile], operands[2][kWidth / 2 * kTile];
  const ResNetFlowShape& s = a.shape;
  const Packed layout{s};
  const Rounded rounded{s};
  const Kept kept{s};
  const Rows rows(tile, a.x.rows());
  const std::int64_t d = s.dimension, columns = rows.columns;
  const float* const weights = keeps ? rounded_weights(a.kept, s, a.x.rows()) : packed;
  float* memory = keeps ? reinterpret_cast<float*>(a.kept.data) + tile * kept.tile_size() : nullptr;
  read_rows(a.x, rows, input);
  read_times(a.t, rows, input + d * kTile);
  for (std::int64_t k = 0; k < s.blocks; ++k) {
    if (keeps) std::memcpy(memory + kept.input(), input, (d + 1) * kTile * sizeof(float));
    float *const phi = keeps ? memory + kept.phi() : phi_here, *const g = keeps ? memory + kept.g() : g_here;
    evaluate_phi(s, input + d * kTile, a.weights.data + k * s.block_size(), columns, phi);
    pair_up_rows(input, d + 1, columns, operands[0]);
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const std::int64_t out = s.outputs(l), P = pairs(s.inputs(l)), row = layout.row(l);
      const float* const from = operands[l % 2];
      float* const to = operands[(l + 1) % 2];
      const float* const bias = a.weights.data + s.bias(k, l);
      for (std::int64_t o = 0; o < out; o += kOutputs) {
        const std::int64_t count = out - o < kOutputs ? out - o : kOutputs;
        const Broadcast weight = keeps ? Broadcast{weights + rounded.of_inputs(k, l) + o * P, P, 1}
                                       : Broadcast{weights + layout.weight(k, l) + o, 1, row};
        float* const here = l == s.depth ? g + o * kTile : z;
        product<Start::bias, Pairs>(count, P, columns, weight, from, kTile, here, kTile, bias + o);
        if (l == s.depth) continue;
        if (keeps) {
          for (std::int64_t f = 0; f < count; ++f)
            activate_tile_with_slope(s.activation, z + f * kTile, z + f * kTile,
                                     memory + kept.slope(l) + (o + f) * kTile, columns);
          pair_up_rows(z, count, columns, to + o / 2 * kTile);
          round_rows(z, count, columns, memory + kept.output(l) + o * kTile / 2);
        } else if (s.activation == Activation::silu) {
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
    if (keeps) memory += kept.block_size();
  }
  write_rows(input, rows, a.y);
}

/// A layer's gradient dz: adds its sums over the rows to the bias's gradient, and rounds it, to pairs of features and
/// to pairs of neighbouring rows. `slope`, where there is one, is still to be multiplied by.
static inline void take_gradient(const float* dz, const float* slope, std::int64_t features, std::int64_t columns,
                                 float* dbias, float* of_features, float* of_rows) {
  for (std::int64_t f = 0; f < features; f += 2) {
    const bool odd = f + 1 < features;
    Floats sum[2] = {};
    for (std::int64_t r = 0; r < columns; r += kFloats) {
      Floats pair[2] = {};
      for (int i = 0; i < (odd ? 2 : 1); ++i) {
        const std::int64_t at = (f + i) * kTile + r;
        pair[i] = slope == nullptr ? load<Floats>(dz + at) : load<Floats>(dz + at) * load<Floats>(slope + at);
        sum[i] += pair[i];
        _mm256_storeu_epi32(of_rows + at / 2, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(pair[i])));
      }
      _mm512_storeu_si512(of_features + f / 2 * kTile + r, pair_up(pair[0], pair[1]));
    }
    for (int i = 0; i < (odd ? 2 : 1); ++i) dbias[f + i] += sum_of(sum[i]);
  }
}

static void backward_tile_bfloat16(const ResNetFlowBackward& a, std::int64_t tile, float* gradients) {
  constexpr std::int64_t kInputs = ResNetFlowShape::kMaxDimension + 1, kWidth = ResNetFlowShape::kMaxWidth;
  alignas(64) float dx[kInputs * kTile], dphi[kInputs * kTile], dz[kWidth * kTile];
  // Rounded: the block's input and dz, pairs of rows; dz, pairs of features; an operand that was turned.
  alignas(64) float input_rows[kInputs * kTile / 2], dz_rows[kWidth * kTile / 2];
  alignas(64) float dz_features[kWidth / 2 * kTile], turned[kTile / 2 * kWidth];
  const ResNetFlowShape& s = a.shape;
  const Rows rows(tile, a.dy.rows());
  const std::int64_t d = s.dimension, columns = rows.columns;
  const Kept kept{s};
  const Partial partial{s};
  const Rounded rounded{s};
  const float* const memory = reinterpret_cast<const float*>(a.kept.data) + tile * kept.tile_size();
  const float* const weights = rounded_weights(a.kept, s, a.dy.rows());
  read_rows(a.dy, rows, dx);  // columns without a row are 0, and so add nothing
  for (std::int64_t k = s.blocks - 1; k >= 0; --k) {
    const float* const block = memory + k * kept.block_size();
    const float *const phi = block + kept.phi(), *const g = block + kept.g(), *const input = block + kept.input();
    residual_gradient(d, columns, dx, phi, g, dphi, dz);
    add_phi_gradient(s, input + d * kTile, a.weights.data + k * s.block_size(), dphi, columns,
                     gradients + partial.phi(k));
    round_rows(input, d + 1, columns, input_rows);
    for (std::int64_t l = s.depth; l >= 0; --l) {
      const std::int64_t in = s.inputs(l), out = s.outputs(l), row = partial.row(l);
      const float* const operand = l == 0 ? input_rows : block + kept.output(l - 1);
      float* const dweight = gradients + partial.weight(k, l);
      take_gradient(dz, l == s.depth ? nullptr : block + kept.slope(l), out, columns, gradients + partial.bias(k, l),
                    dz_features, dz_rows);
      if (partial.transposed(l)) {
        transpose(out, up(columns / 2, kRowPad), dz_rows, kTile / 2, turned, row);
        product<Start::accumulate, Pairs>(in, columns / 2, row, {operand, kTile / 2, 1}, turned, row, dweight, row);
      } else {
        transpose(in, up(columns / 2, kRowPad), operand, kTile / 2, turned, row);
        product<Start::accumulate, Pairs>(out, columns / 2, row, {dz_rows, kTile / 2, 1}, turned, row, dweight, row);
      }
      product<Start::zero, Pairs>(l == 0 ? d : in, pairs(out), columns, {weights + rounded.of_outputs(k, l), 1, in},
                                  dz_features, kTile, dz, kTile);
    }
    for (std::int64_t j = 0; j < d; ++j)
      for (std::int64_t r = 0; r < columns; r += kFloats)
        store(dx + j * kTile + r, load<Floats>(dx + j * kTile + r) + load<Floats>(dz + j * kTile + r));
  }
  if (a.dx.data) write_rows(dx, rows, a.dx);
}

/// Pairs of neighbouring features are what 16 features rounded lie there as.
struct PairProducts {
  using Word = std::uint32_t;

  static std::int64_t words(std::int64_t features) { return pairs(features); }
  static __attribute__((always_inline)) Floats accumulate(Word x, const Word* weight, Floats sum) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_loadu_si512(weight)),
                            reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(x))));
  }
  static void operands(const float* features, std::int64_t n, Word* to) {
    for (std::int64_t i = 0; i < n; i += kFloats) round_to(to + i / 2, load<Floats>(features + i));
  }
  static void activate(Activation activation, float* z, std::int64_t n, Word* to) {
    if (activation == Activation::silu) {
      const __m512 table = Sigmoid().table;
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < n; i += kFloats) round_to(to + i / 2, rough_silu(load<Floats>(z + i), table));
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
  if (!rounds(a.precision)) return forward(a, packed, begin, end);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const Rows rows(tile, a.x.rows());
    if (a.kept.data != nullptr)
      forward_tile_bfloat16<true>(a, nullptr, tile);
    else if (rows.count <= kFewRows)
      forward_few_rows(PairProducts(), a, packed, rows.begin, rows.count);
    else
      forward_tile_bfloat16<false>(a, packed, tile);
  }
}

static void backward_bfloat16(const ResNetFlowBackward& a, std::int64_t begin, std::int64_t end) {
  backward_chunks(a, begin, end, rounds(a.precision) ? backward_tile_bfloat16 : backward_tile);
}

static void round_pairs(const ResNetFlowShape& s, const float* weights, std::int64_t begin, std::int64_t end,
                        float* to) {
  const Rounded rounded{s};
  for (std::int64_t unit = begin; unit < end; ++unit) {
    const std::int64_t k = unit / (s.depth + 1), l = unit % (s.depth + 1), in = s.inputs(l), out = s.outputs(l);
    const float* const weight = weights + s.weight(k, l);
    float *const of_inputs = to + rounded.of_inputs(k, l), *const of_outputs = to + rounded.of_outputs(k, l);
    for (std::int64_t o = 0; o < out; ++o) round_row(weight + o * in, in, of_inputs + o * pairs(in));
    for (std::int64_t o = 0; o < out; o += 2)
      for (std::int64_t i = 0; i < in; i += kFloats) {
        const auto lanes = static_cast<__mmask16>(in - i < kFloats ? (1u << (in - i)) - 1 : 0xffffu);
        const __m512 even = _mm512_maskz_loadu_ps(lanes, weight + o * in + i);
        const __m512 odd = o + 1 < out ? _mm512_maskz_loadu_ps(lanes, weight + (o + 1) * in + i) : _mm512_setzero_ps();
        _mm512_mask_storeu_epi32(of_outputs + o / 2 * in + i, lanes, pair_up(even, odd));
      }
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

constinit const Variant Variant::avx512_bf16 = {avx512_bf16::forward_bfloat16, avx512_bf16::backward_bfloat16,
                                                avx512_bf16::pack_pairs, avx512_bf16::round_pairs};

}  // namespace otnfm::cpu::resnet
#endif
