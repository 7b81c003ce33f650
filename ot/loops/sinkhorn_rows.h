// Rows of Sinkhorn's kernel, 16 columns a step in two vectors or one: some 16 operations a vector, of which the
// exponential is 12, for three loads and a store.
#pragma once

#include "kernels/host/simd.h"
#include "ot/loops/loops.h"

namespace otnfm::OTNFM_PROCESSOR {

using namespace host;

constexpr int kParts = kFloatBlock / kFloats;
constexpr std::int64_t kSegment = 1024;  // columns whose sum is kept in float32

// The sum of 16 lanes, folded by halves.
OTNFM_INLINE float sum_of(const Floats (&lanes)[kParts]) {
  float part[kFloatBlock];
  for (int p = 0; p < kParts; ++p) store(part + p * kFloats, lanes[p]);
  for (int width = kFloatBlock / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) part[lane] += part[lane + width];
  return part[0];
}

OTNFM_INLINE float largest_of(Floats v) {
  float largest = v[0];
  for (int i = 1; i < kFloats; ++i) largest = v[i] > largest ? v[i] : largest;
  return largest;
}

static double exponentials(const float* k, std::int64_t stride, const float* v, const float* weight, float u,
                           float ratio, float* e) {
  const Floats scale = all<Floats>(ratio), shift = all<Floats>(u);
  double total = 0;
  for (std::int64_t begin = 0; begin < stride; begin += kSegment) {
    const std::int64_t end = begin + kSegment < stride ? begin + kSegment : stride;
    Floats sum[kParts] = {};
    for (std::int64_t j = begin; j < end; j += kFloatBlock)
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
        const std::int64_t at = j + p * kFloats;
        const Floats value = exp2_of(multiply_add(load<Floats>(k + at), scale, load<Floats>(v + at)) + shift);
        store(e + at, value);
        sum[p] = multiply_add(value, load<Floats>(weight + at), sum[p]);
      }
    total += static_cast<double>(sum_of(sum));
  }
  return total;
}

static float highest_exponent(const float* k, std::int64_t stride, const float* v, const float* weight, float ratio) {
  const Floats scale = all<Floats>(ratio);
  Floats highest = all<Floats>(-kInfinity);
  for (std::int64_t j = 0; j < stride; j += kFloats) {
    const Floats exponent = multiply_add(load<Floats>(k + j), scale, load<Floats>(v + j));
    highest = load<Floats>(weight + j) > Floats{} ? larger(highest, exponent) : highest;
  }
  return largest_of(highest);
}

template <int rows>
OTNFM_INLINE void add_rows_of(const float* e, std::int64_t stride, const float* scale, float* sums) {
  for (std::int64_t j = 0; j < stride; j += kFloats) {
    Floats sum = load<Floats>(sums + j);
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) sum = multiply_add(load<Floats>(e + r * stride + j), all<Floats>(scale[r]), sum);
    store(sums + j, sum);
  }
}

static void add_rows(const float* e, std::int64_t stride, int rows, const float* scale, float* sums) {
  if (rows == 4) return add_rows_of<4>(e, stride, scale, sums);
  for (int r = 0; r < rows; ++r) add_rows_of<1>(e + r * stride, stride, scale + r, sums);
}

static void add_stably(const float* k, std::int64_t stride, const float* v, float u, float ratio, float factor,
                       float* sums, float* highest) {
  for (std::int64_t j = 0; j < stride; j += kFloats) {
    const Floats exponent = multiply_add(load<Floats>(k + j), all<Floats>(ratio), load<Floats>(v + j)) + all<Floats>(u);
    const Floats before = load<Floats>(highest + j), now = larger(before, exponent);
    const Floats sum = load<Floats>(sums + j) * exp2_of(before - now);
    store(highest + j, now);
    store(sums + j, multiply_add(exp2_of(exponent - now), all<Floats>(factor), sum));
  }
}

static double plan_row(const float* e, const float* weight, const float* k, std::int64_t stride, float* largest) {
  Floats most = all<Floats>(-1.0f);
  double exponent = 0;
  for (std::int64_t begin = 0; begin < stride; begin += kSegment) {
    const std::int64_t end = begin + kSegment < stride ? begin + kSegment : stride;
    Floats sum[kParts] = {};
    for (std::int64_t j = begin; j < end; j += kFloatBlock)
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
        const std::int64_t at = j + p * kFloats;
        const Floats mass = load<Floats>(e + at) * load<Floats>(weight + at);
        most = larger(most, mass);
        sum[p] = multiply_add(mass, load<Floats>(k + at), sum[p]);
      }
    exponent += static_cast<double>(sum_of(sum));
  }
  *largest = largest_of(most);
  return exponent;
}

}  // namespace otnfm::OTNFM_PROCESSOR
