// Differences, not the expanded square: no cancellation, and on most processors the same speed as a product. A block's
// columns are kept in registers as kRows x kVectors sums, as many as hide the latency of a fused multiply-add: 16 of
// AVX-512's 32 registers, 8 of AVX2's 16. Each pair's terms are added in the order of the coordinates, so the sums do
// not depend on how many are worked on at once.
#pragma once

#include "kernels/host/simd.h"
#include "ot/loops/loops.h"

namespace otnfm::OTNFM_PROCESSOR {

using namespace host;

constexpr int kRows = 4;
constexpr int kVectors = OTNFM_VECTOR_BYTES == 64 ? 4 : 2;
constexpr int kStep = kVectors * kDoubles;  // columns at once
constexpr int kApart = kVectors * kDoubles > kMinimaLanes ? kMinimaLanes / kDoubles : kVectors;

template <Cost kind>
OTNFM_INLINE Doubles add_term(Doubles x, Doubles y, Doubles sum) {
  if constexpr (kind == Cost::negative_dot) return multiply_add(-x, y, sum);
  const Doubles difference = x - y;
  return multiply_add(difference, difference, sum);
}

template <Cost kind, int rows>
OTNFM_INLINE void add_terms(const double* x, std::int64_t x_stride, const double* block, std::int64_t depth,
                            Doubles (&sum)[rows][kVectors]) {
  for (std::int64_t k = 0; k < depth; ++k, block += kPairColumns) {
    Doubles y[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) y[v] = load<Doubles>(block + v * kDoubles);
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      const Doubles xk = all<Doubles>(x[r * x_stride + k]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] = add_term<kind>(xk, y[v], sum[r][v]);
    }
  }
}

template <Cost kind, int rows>
OTNFM_INLINE void pair_costs_of(const double* x, std::int64_t x_stride, const double* block, std::int64_t depth,
                                bool more, double* sums, std::int64_t sums_stride) {
  for (int column = 0; column < kPairColumns; column += kStep) {
    Doubles sum[rows][kVectors] = {};
    if (more) {
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sum[r][v] = load<Doubles>(sums + r * sums_stride + column + v * kDoubles);
    }
    add_terms<kind, rows>(x, x_stride, block + column, depth, sum);
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) store(sums + r * sums_stride + column + v * kDoubles, sum[r][v]);
  }
}

template <Cost kind>
static void pair_costs_as(const double* x, std::int64_t x_stride, std::int64_t rows, const double* block,
                          std::int64_t depth, bool more, double* sums, std::int64_t sums_stride) {
  for (; rows >= kRows; rows -= kRows, x += kRows * x_stride, sums += kRows * sums_stride)
    pair_costs_of<kind, kRows>(x, x_stride, block, depth, more, sums, sums_stride);
  for (; rows > 0; --rows, x += x_stride, sums += sums_stride)
    pair_costs_of<kind, 1>(x, x_stride, block, depth, more, sums, sums_stride);
}

static void pair_costs(Cost kind, const double* x, std::int64_t x_stride, std::int64_t rows, const double* block,
                       std::int64_t depth, bool more, double* sums, std::int64_t sums_stride) {
  if (kind == Cost::negative_dot)
    pair_costs_as<Cost::negative_dot>(x, x_stride, rows, block, depth, more, sums, sums_stride);
  else
    pair_costs_as<Cost::squared_euclidean>(x, x_stride, rows, block, depth, more, sums, sums_stride);
}

OTNFM_INLINE Doubles root_of(Doubles v) {
  for (int i = 0; i < kDoubles; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
}

template <Cost kind, int rows>
OTNFM_INLINE void row_minima_of(const double* x, const double* block, std::int64_t d, const double* bias,
                                double* minima, double* largest) {
  for (int column = 0; column < kPairColumns; column += kStep) {
    Doubles sum[rows][kVectors] = {};
    add_terms<kind, rows>(x, d, block + column, d, sum);
    // Vectors whose columns share lanes are folded together, between one load of the minima and one store.
#pragma GCC unroll 4
    for (int first = 0; first < kApart; ++first) {
      const int lane = (column + first * kDoubles) % kMinimaLanes;
      Doubles size = load<Doubles>(largest + lane);
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r) {
        Doubles least = load<Doubles>(minima + r * kMinimaLanes + lane);
#pragma GCC unroll 4
        for (int v = first; v < kVectors; v += kApart) {
          const Doubles cost = kind == Cost::euclidean ? root_of(sum[r][v]) : sum[r][v];
          least = smaller(cost - load<Doubles>(bias + column + v * kDoubles), least);
          size = larger(kind == Cost::negative_dot ? absolute(cost) : cost, size);
        }
        store(minima + r * kMinimaLanes + lane, least);
      }
      store(largest + lane, size);
    }
  }
}

template <Cost kind>
static void row_minima_as(const double* x, std::int64_t rows, const double* block, std::int64_t d, const double* bias,
                          double* minima, double* largest) {
  for (; rows >= kRows; rows -= kRows, x += kRows * d, minima += kRows * kMinimaLanes)
    row_minima_of<kind, kRows>(x, block, d, bias, minima, largest);
  for (; rows > 0; --rows, x += d, minima += kMinimaLanes) row_minima_of<kind, 1>(x, block, d, bias, minima, largest);
}

static void row_minima(Cost kind, const double* x, std::int64_t rows, const double* block, std::int64_t d,
                       const double* bias, double* minima, double* largest) {
  if (kind == Cost::negative_dot)
    row_minima_as<Cost::negative_dot>(x, rows, block, d, bias, minima, largest);
  else if (kind == Cost::euclidean)
    row_minima_as<Cost::euclidean>(x, rows, block, d, bias, minima, largest);
  else
    row_minima_as<Cost::squared_euclidean>(x, rows, block, d, bias, minima, largest);
}

template <Cost kind>
OTNFM_INLINE double pair_cost_as(const double* x, const double* y, std::int64_t d) {
  constexpr int kWide = 16;
  double lanes[kWide];
  Doubles sum[kWide / kDoubles] = {};
  std::int64_t k = 0;
  for (; k + kWide <= d; k += kWide) {
#pragma GCC unroll 8
    for (int v = 0; v < kWide / kDoubles; ++v)
      sum[v] = add_term<kind>(load<Doubles>(x + k + v * kDoubles), load<Doubles>(y + k + v * kDoubles), sum[v]);
  }
#pragma GCC unroll 8
  for (int v = 0; v < kWide / kDoubles; ++v) store(lanes + v * kDoubles, sum[v]);
  for (int i = 0; k < d; ++k, ++i) {
    const double difference = x[k] - y[k];
    lanes[i] += kind == Cost::negative_dot ? -x[k] * y[k] : difference * difference;
  }
  for (int width = kWide / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  return lanes[0];
}

static double pair_cost(Cost kind, const double* x, const double* y, std::int64_t d) {
  if (kind == Cost::negative_dot) return pair_cost_as<Cost::negative_dot>(x, y, d);
  const double square = pair_cost_as<Cost::squared_euclidean>(x, y, d);
  return kind == Cost::euclidean ? __builtin_sqrt(square) : square;
}

}  // namespace otnfm::OTNFM_PROCESSOR
