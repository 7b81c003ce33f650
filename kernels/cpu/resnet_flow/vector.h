// Vectors of OTNFM_RESNET_LANES floats and the one product that everything is made of. Included by the files that are
// compiled for one processor each, every one with a namespace of its own (OTNFM_RESNET_VARIANT), so that the linker
// never takes a function that was compiled for another processor.
#pragma once

#if OTNFM_RESNET_LANES > 4
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/cpu/resnet_flow/layout.h"

namespace otnfm::cpu::resnet::OTNFM_RESNET_VARIANT {

inline constexpr int kLanes = OTNFM_RESNET_LANES;
typedef float Vector __attribute__((vector_size(4 * kLanes)));

// A product keeps kOutputs x kVectors sums in registers, beside kVectors operands and a broadcast.
#if OTNFM_RESNET_LANES == 16
inline constexpr int kVectors = 4, kOutputs = 6;
#else
inline constexpr int kVectors = 2, kOutputs = 6;
#endif

static inline __attribute__((always_inline)) Vector load(const float* from) {
  Vector v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
static inline __attribute__((always_inline)) void store(float* to, Vector v) {
  std::memcpy(to, &v, sizeof(v));
}
static inline __attribute__((always_inline)) Vector broadcast(float x) {
#if OTNFM_RESNET_LANES == 16
  return _mm512_set1_ps(x);
#elif OTNFM_RESNET_LANES == 8
  return _mm256_set1_ps(x);
#else
  return Vector{x, x, x, x};
#endif
}
static inline __attribute__((always_inline)) Vector multiply_add(Vector a, Vector b, Vector c) {
#if OTNFM_RESNET_LANES == 16
  return _mm512_fmadd_ps(a, b, c);
#elif OTNFM_RESNET_LANES == 8
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}
/// What multiply_add does in a lane.
static inline __attribute__((always_inline)) float multiply_add(float a, float b, float c) {
#if OTNFM_RESNET_LANES > 4
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

/// The sum of the lanes, folded by halves.
static inline float sum_of(Vector v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}

enum class Start { zero, bias, accumulate };

/// What a product does with its words, which lie among floats: here they are floats.
struct Floats {
  static __attribute__((always_inline)) Vector accumulate(Vector a, Vector b, Vector sum) {
    return multiply_add(a, b, sum);
  }
};

/// A matrix that is read one word at a time: element (o, k) is at data[o * out + k * in].
struct Broadcast {
  const float* data;
  std::int64_t out, in;
};

template <int O, int V, Start start, class Words>
static inline __attribute__((always_inline)) void multiply(std::int64_t K, Broadcast a, const float* b,
                                                           std::int64_t b_row, float* c, std::int64_t c_row,
                                                           const float* bias) {
  Vector sum[O][V];
#pragma GCC unroll 8
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      if constexpr (start == Start::accumulate)
        sum[o][v] = load(c + o * c_row + v * kLanes);
      else if constexpr (start == Start::bias)
        sum[o][v] = broadcast(bias[o]);
      else
        sum[o][v] = Vector{};
    }
  const float* from = a.data;
  for (std::int64_t k = 0; k < K; ++k, b += b_row, from += a.in) {
    Vector operand[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) operand[v] = load(b + v * kLanes);
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) {
      float word;
      std::memcpy(&word, from + o * a.out, sizeof(word));
      const Vector factor = broadcast(word);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[o][v] = Words::accumulate(factor, operand[v], sum[o][v]);
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) store(c + o * c_row + v * kLanes, sum[o][v]);
}

template <int V, Start start, class Words, int O = kOutputs>
static inline __attribute__((always_inline)) void multiply_rest(std::int64_t outputs, std::int64_t K, Broadcast a,
                                                                const float* b, std::int64_t b_row, float* c,
                                                                std::int64_t c_row, const float* bias) {
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
template <Start start, class Words = Floats>
static inline void product(std::int64_t outputs, std::int64_t K, std::int64_t columns, Broadcast a, const float* b,
                           std::int64_t b_row, float* c, std::int64_t c_row, const float* bias = nullptr) {
  constexpr std::int64_t kStep = kVectors * kLanes;
  std::int64_t j = 0;
  for (; j + kStep <= columns; j += kStep)
    multiply_strip<kVectors, start, Words>(outputs, K, a, b + j, b_row, c + j, c_row, bias);
  for (; j < columns; j += kLanes) multiply_strip<1, start, Words>(outputs, K, a, b + j, b_row, c + j, c_row, bias);
}

// --- Transposition: log2(kLanes) rounds, each of which interleaves vectors i and i + kLanes / 2

template <int... I>
static inline __attribute__((always_inline)) Vector interleave_low(Vector a, Vector b,
                                                                   std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (I / 2 + (I % 2) * kLanes)...);
}
template <int... I>
static inline __attribute__((always_inline)) Vector interleave_high(Vector a, Vector b,
                                                                    std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, (kLanes / 2 + I / 2 + (I % 2) * kLanes)...);
}

/// to[j][f] = from[f][j] for j < columns (a multiple of kRowPad), f < features; up to the next multiple of kRowPad
/// features are 0. Rows of `to` are to_row apart. Of words of any kind.
static void transpose(std::int64_t features, std::int64_t columns, const float* from, std::int64_t from_row, float* to,
                      std::int64_t to_row) {
  constexpr std::make_integer_sequence<int, kLanes> kIndex;
  for (std::int64_t f = 0; f < up(features, kRowPad); f += kLanes)
    for (std::int64_t j = 0; j < columns; j += kLanes) {
      Vector rows[kLanes], next[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) rows[i] = f + i < features ? load(from + (f + i) * from_row + j) : Vector{};
#pragma GCC unroll 4
      for (int round = 1; round < kLanes; round *= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes / 2; ++i) {
          next[2 * i] = interleave_low(rows[i], rows[i + kLanes / 2], kIndex);
          next[2 * i + 1] = interleave_high(rows[i], rows[i + kLanes / 2], kIndex);
        }
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) rows[i] = next[i];
      }
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(to + (j + i) * to_row + f, rows[i]);
    }
}

}  // namespace otnfm::cpu::resnet::OTNFM_RESNET_VARIANT
