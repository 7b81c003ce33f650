// A few rows through all blocks, for a program that waits for one sample. A tile would compute kRowPad columns for
// them; here the lanes of a vector are outputs, so that nothing is computed that is not wanted. Every number is made by
// the operations that a tile makes it by, in their order: a row has the same bits either way.
//
// For one row it is bound by the weights, which come from the second-level cache: 136 KB for 4 blocks of 3 x 64, half
// of that as pairs of bfloat16. They are read once for up to kRowsAtOnce rows.
#pragma once

#include "kernels/cpu/resnet_flow/activation.h"

namespace otnfm::cpu::resnet::OTNFM_PROCESSOR {

inline constexpr int kRowsAtOnce = 4;

/// How the products are made: here of float32, which may have been rounded to bfloat16. Operands and weights are words,
/// of which a row of n features has words(n).
struct FloatProducts {
  using Word = float;
  bool rounds;

  static std::int64_t words(std::int64_t features) { return features; }
  static __attribute__((always_inline)) Floats accumulate(Word x, const Word* weight, Floats sum) {
    return multiply_add(all<Floats>(x), load<Floats>(weight), sum);
  }
  /// n features, a multiple of kRowPad, as operands.
  void operands(const float* features, std::int64_t n, Word* to) const {
    std::memcpy(to, features, static_cast<std::size_t>(n) * sizeof(float));
    if (rounds) round_to_bfloat16(to, n);
  }
  void activate(Activation activation, float* z, std::int64_t n, Word* to) const {
    activate_tile(activation, z, to, n);
    if (rounds) round_to_bfloat16(to, n);
  }
};

template <class Products, int R, int V>
OTNFM_INLINE void multiply_rows(std::int64_t K, const typename Products::Word* x, std::int64_t x_row,
                                const typename Products::Word* weight, const float* bias, std::int64_t row, float* z) {
  Floats sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[r][v] = load<Floats>(bias + v * kFloats);
  for (std::int64_t k = 0; k < K; ++k, weight += row) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[r][v] = Products::accumulate(x[r * x_row + k], weight + v * kFloats, sum[r][v]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(z + r * row + v * kFloats, sum[r][v]);
}

template <class Products, int R, int V>
OTNFM_INLINE void multiply_rows_rest(std::int64_t vectors, std::int64_t K, const typename Products::Word* x,
                                     std::int64_t x_row, const typename Products::Word* weight, const float* bias,
                                     std::int64_t row, float* z) {
  if constexpr (V > 1)
    if (vectors < V) return multiply_rows_rest<Products, R, V - 1>(vectors, K, x, x_row, weight, bias, row, z);
  if (vectors > 0) multiply_rows<Products, R, V>(K, x, x_row, weight, bias, row, z);
}

/// z[r][o] = bias[o] + sum_k x[r][k] weight[k][o] for o < row, a multiple of kRowPad. The sum runs over k in order.
template <class Products, int R>
static __attribute__((noinline)) void product_of_rows(std::int64_t K, const typename Products::Word* x,
                                                      std::int64_t x_row, const typename Products::Word* weight,
                                                      const float* bias, std::int64_t row, float* z) {
  constexpr int kSums = kFloats == 16 ? 16 : 8, kMost = kSums / R < 8 ? kSums / R : 8;
  std::int64_t o = 0;
  for (; o + kMost * kFloats <= row; o += kMost * kFloats)
    multiply_rows<Products, R, kMost>(K, x, x_row, weight + o, bias + o, row, z + o);
  multiply_rows_rest<Products, R, kMost - 1>((row - o) / kFloats, K, x, x_row, weight + o, bias + o, row, z + o);
}

/// Rows first .. first + R - 1 of the batch. `packed` as pack() leaves the weights (Packed, in layout.h).
template <int R, class Products>
static void forward_rows(const Products& products, const ResNetFlowForward& a, const float* packed,
                         std::int64_t first) {
  constexpr std::int64_t kInputs = up(ResNetFlowShape::kMaxDimension + 1, kRowPad), kWidth = ResNetFlowShape::kMaxWidth;
  static_assert(kWidth >= kInputs);
  using Word = typename Products::Word;
  alignas(64) float input[R * kInputs], z[R * kWidth], phi[R * kInputs];
  alignas(64) Word operands[R * kWidth];
  const ResNetFlowShape& s = a.shape;
  const Packed layout{s};
  const std::int64_t d = s.dimension, input_row = up(d + 1, kRowPad);
  for (int r = 0; r < R; ++r) {
    float* const to = input + r * input_row;
    std::memset(to + d + 1, 0, static_cast<std::size_t>(input_row - d - 1) * sizeof(float));
    for (std::int64_t j = 0; j < d; ++j) to[j] = a.x.row(first + r)[j];
    to[d] = a.t.data[first + r];
  }
  for (std::int64_t k = 0; k < s.blocks; ++k) {
    evaluate_phi_of_rows<R>(s, a.t.data + first, a.weights.data + k * s.block_size(), phi);
    products.operands(input, R * input_row, operands);
    std::int64_t operand_row = Products::words(input_row);
    for (std::int64_t l = 0; l <= s.depth; ++l) {
      const std::int64_t row = layout.row(l);
      product_of_rows<Products, R>(Products::words(s.inputs(l)), operands, operand_row,
                                   reinterpret_cast<const Word*>(packed + layout.weight(k, l)),
                                   packed + layout.bias(k, l), row, z);
      if (l == s.depth) break;
      products.activate(s.activation, z, R * row, operands);
      operand_row = Products::words(row);
    }
    const std::int64_t row = layout.row(s.depth);
    for (int r = 0; r < R; ++r)
      for (std::int64_t j = 0; j < d; ++j) {
        float& x = input[r * input_row + j];
        x = multiply_add(phi[j * R + r], z[r * row + j], x);
      }
  }
  for (int r = 0; r < R; ++r)
    for (std::int64_t j = 0; j < d; ++j) a.y.row(first + r)[j] = input[r * input_row + j];
}

template <class Products>
static void forward_few_rows(const Products& products, const ResNetFlowForward& a, const float* packed,
                             std::int64_t first, std::int64_t count) {
  for (; count >= kRowsAtOnce; first += kRowsAtOnce, count -= kRowsAtOnce)
    forward_rows<kRowsAtOnce>(products, a, packed, first);
  if (count >= 2) {
    forward_rows<2>(products, a, packed, first);
    first += 2;
  }
  if (count % 2 == 1) forward_rows<1>(products, a, packed, first);
}

}  // namespace otnfm::cpu::resnet::OTNFM_PROCESSOR
