// The one product that everything is made of, and a transposition. Included by the files that are compiled for one
// processor each, after the macros that kernels/host/simd.h asks for.
#pragma once

#include "kernels/cpu/resnet_flow/layout.h"
#include "kernels/host/simd.h"

namespace otnfm::cpu::resnet::OTNFM_PROCESSOR {

using namespace host;

// A product keeps kOutputs x kVectors sums in registers, beside kVectors operands and a broadcast.
inline constexpr int kVectors = OTNFM_VECTOR_BYTES == 64 ? 4 : 2, kOutputs = 6;

/// The sum of the lanes, folded by halves.
static inline float sum_of(Floats v) {
  float lanes[kFloats];
  store(lanes, v);
  for (int width = kFloats / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}

enum class Start { zero, bias, accumulate };

/// What a product does with its words, which lie among floats: here they are floats.
struct FloatWords {
  static __attribute__((always_inline)) Floats accumulate(Floats a, Floats b, Floats sum) {
    return multiply_add(a, b, sum);
  }
};

/// A matrix that is read one word at a time: element (o, k) is at data[o * out + k * in].
struct Broadcast {
  const float* data;
  std::int64_t out, in;
};

template <int O, int V, Start start, class Words>
OTNFM_INLINE void multiply(std::int64_t K, Broadcast a, const float* b, std::int64_t b_row, float* c,
                           std::int64_t c_row, const float* bias) {
  Floats sum[O][V];
#pragma GCC unroll 8
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      if constexpr (start == Start::accumulate)
        sum[o][v] = load<Floats>(c + o * c_row + v * kFloats);
      else if constexpr (start == Start::bias)
        sum[o][v] = all<Floats>(bias[o]);
      else
        sum[o][v] = Floats{};
    }
  const float* from = a.data;
  for (std::int64_t k = 0; k < K; ++k, b += b_row, from += a.in) {
    Floats operand[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) operand[v] = load<Floats>(b + v * kFloats);
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) {
      float word;
      std::memcpy(&word, from + o * a.out, sizeof(word));
      const Floats factor = all<Floats>(word);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[o][v] = Words::accumulate(factor, operand[v], sum[o][v]);
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(c + o * c_row + v * kFloats, sum[o][v]);
}

template <int V, Start start, class Words, int O = kOutputs>
OTNFM_INLINE void multiply_rest(std::int64_t outputs, std::int64_t K, Broadcast a, const float* b, std::int64_t b_row,
                                float* c, std::int64_t c_row, const float* bias) {
  if constexpr (O > 1)
    if (outputs < O) return multiply_rest<V, start, Words, O - 1>(outputs, K, a, b, b_row, c, c_row, bias);
  if (outputs > 0) multiply<O, V, start, Words>(K, a, b, b_row, c, c_row, bias);
}

/// `outputs` rows of V vectors of c.
template <int V, Start start, class Words>
static __attribute__((noinline)) void multiply_strip(std::int64_t outputs, std::int64_t K, Broadcast a, const float* b,
                                                     std::int64_t b_row, float* c, std::int64_t c_row,
                                                     const float* bias) {
  for (; outputs >= kOutputs; outputs -= kOutputs) {
    multiply<kOutputs, V, start, Words>(K, a, b, b_row, c, c_row, bias);
    a.data += kOutputs * a.out;
    c += kOutputs * c_row;
    if constexpr (start == Start::bias) bias += kOutputs;
  }
  multiply_rest<V, start, Words, kOutputs - 1>(outputs, K, a, b, b_row, c, c_row, bias);
}

/// c[o][j] = start + sum_k a(o, k) b[k][j] for o < outputs and j < columns, a multiple of kRowPad. The sum runs over k
/// in order, whatever the columns are: a row's result does not depend on its place in a tile.
template <Start start, class Words = FloatWords>
static inline void product(std::int64_t outputs, std::int64_t K, std::int64_t columns, Broadcast a, const float* b,
                           std::int64_t b_row, float* c, std::int64_t c_row, const float* bias = nullptr) {
  constexpr std::int64_t kStep = kVectors * kFloats;
  std::int64_t j = 0;
  for (; j + kStep <= columns; j += kStep)
    multiply_strip<kVectors, start, Words>(outputs, K, a, b + j, b_row, c + j, c_row, bias);
  for (; j < columns; j += kFloats) multiply_strip<1, start, Words>(outputs, K, a, b + j, b_row, c + j, c_row, bias);
}

// --- Transposition: log2(kFloats) rounds, each of which interleaves vectors i and i + kFloats / 2

template <int... I>
OTNFM_INLINE Floats interleave_low(Floats a, Floats b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + (I % 2) * kFloats)...);
}
template <int... I>
OTNFM_INLINE Floats interleave_high(Floats a, Floats b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (kFloats / 2 + I / 2 + (I % 2) * kFloats)...);
}

/// to[j][f] = from[f][j] for j < columns (a multiple of kRowPad), f < features; up to the next multiple of kRowPad
/// features are 0. Rows of `to` are to_row apart. Of words of any kind.
static void transpose(std::int64_t features, std::int64_t columns, const float* from, std::int64_t from_row, float* to,
                      std::int64_t to_row) {
  constexpr std::make_integer_sequence<int, kFloats> kIndex;
  for (std::int64_t f = 0; f < up(features, kRowPad); f += kFloats)
    for (std::int64_t j = 0; j < columns; j += kFloats) {
      Floats rows[kFloats], next[kFloats];
#pragma GCC unroll 16
      for (int i = 0; i < kFloats; ++i)
        rows[i] = f + i < features ? load<Floats>(from + (f + i) * from_row + j) : Floats{};
#pragma GCC unroll 4
      for (int round = 1; round < kFloats; round *= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < kFloats / 2; ++i) {
          next[2 * i] = interleave_low(rows[i], rows[i + kFloats / 2], kIndex);
          next[2 * i + 1] = interleave_high(rows[i], rows[i + kFloats / 2], kIndex);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kFloats; ++i) rows[i] = next[i];
      }
#pragma GCC unroll 16
      for (int i = 0; i < kFloats; ++i) store(to + (j + i) * to_row + f, rows[i]);
    }
}

}  // namespace otnfm::cpu::resnet::OTNFM_PROCESSOR
