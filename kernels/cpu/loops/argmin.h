// The loops of biased_argmin; cpu/biased_argmin.cpp says what they compute, and why a bound may be trusted.
#pragma once

#include "kernels/cpu/loops/loops.h"
#include "kernels/host/simd.h"

namespace otnfm::cpu::OTNFM_PROCESSOR {

using namespace host;

constexpr std::int64_t kBlock = kBoxPoints, kWidth = kFloats;
constexpr std::uint32_t kAll = (1u << kFloats) - 1;

OTNFM_INLINE float absolute(float x) {
  return __builtin_fabsf(x);
}

OTNFM_INLINE void offer(Nearest& best, float value, std::int64_t at) {
  if (value < best.value || (value == best.value && best.index >= 0 && at < best.index)) {
    best.value = value;
    best.index = at;
  }
}

/// What the roundings of a bound and of a value add up to, over |x|^2 + |s|^2 + |y|^2 + |g|: counted term by term, each
/// of them is at most so many halves of a unit in the last place of that sum.
OTNFM_INLINE float rounding(std::int64_t d) {
  return static_cast<float>(7 * d + 36) * 0x1p-24f;
}

OTNFM_INLINE float sum_of(Floats lanes) {
  float sum = 0;
  for (int lane = 0; lane < kWidth; ++lane) sum += lanes[lane];
  return sum;
}

/// One block, whose coordinates and biases are in place.
static void enclose(const Boxes& boxes, std::int64_t block, std::int64_t points) {
  const std::int64_t d = boxes.d, at = block * kBlock;
  const float *coordinate = boxes.coordinate + at, *bias = boxes.bias + at;
  float rest[kBlock];  // of the bias, without the slope
  float top = -kInfinity, largest_bias = 0, square = 0;
  bool finite = true;
  for (std::int64_t j = 0; j < points; ++j) {
    top = bias[j] > top ? bias[j] : top;
    const float size = absolute(bias[j]);
    largest_bias = size > largest_bias ? size : largest_bias;
    finite &= size < kInfinity;
  }
  float slope[kMostBoxDimensions] = {}, mean[kMostBoxDimensions];
  for (std::int64_t k = 0; k < d; ++k) {
    const float* y = coordinate + k * boxes.point_stride;
    Floats low = load<Floats>(y), high = low, sum = {};
    std::uint32_t numbers = kAll;
    for (std::int64_t j = 0; j < kBlock; j += kWidth) {
      const Floats values = load<Floats>(y + j);
      low = smaller(values, low);
      high = larger(values, high);
      sum += values;
      numbers &= not_above(values - values, Floats{});  // infinity - infinity is no number either
    }
    float least = low[0], most = high[0];
    for (int lane = 1; lane < kWidth; ++lane) {
      least = low[lane] < least ? low[lane] : least;
      most = high[lane] > most ? high[lane] : most;
    }
    // A NaN may have hidden the others: then the box is all of space.
    const bool all_finite = numbers == kAll;
    finite &= all_finite;
    boxes.low[k * boxes.block_stride + block] = all_finite ? least : -kInfinity;
    boxes.high[k * boxes.block_stride + block] = all_finite ? most : kInfinity;
    const float reach = absolute(least) > absolute(most) ? absolute(least) : absolute(most);
    square += reach * reach;
    mean[k] = sum_of(sum) / static_cast<float>(kBlock);
  }
  float margin = 0;
  if (finite && points == kBlock) {
    // Axis by axis, twice, as the axes may be correlated.
    std::memcpy(rest, bias, sizeof(rest));
    for (int sweep = 0; sweep < 2; ++sweep)
      for (std::int64_t k = 0; k < d; ++k) {
        const float* y = coordinate + k * boxes.point_stride;
        Floats variance = {}, covariance = {};
        for (std::int64_t j = 0; j < kBlock; j += kWidth) {
          const Floats centred = load<Floats>(y + j) - mean[k];
          variance = multiply_add(centred, centred, variance);
          covariance = multiply_add(centred, load<Floats>(rest + j), covariance);
        }
        const float step = sum_of(covariance) / sum_of(variance);
        if (!(absolute(step) < kInfinity)) continue;
        slope[k] += step;
        for (std::int64_t j = 0; j < kBlock; j += kWidth)
          store(rest + j, load<Floats>(rest + j) - step * (load<Floats>(y + j) - mean[k]));
      }
    Floats highest = all<Floats>(-kInfinity);
    for (std::int64_t j = 0; j < kBlock; j += kWidth) {
      Floats left = load<Floats>(bias + j);
      for (std::int64_t k = 0; k < d; ++k)
        left = multiply_add(all<Floats>(-slope[k]), load<Floats>(coordinate + k * boxes.point_stride + j), left);
      highest = larger(left, highest);
    }
    top = -kInfinity;
    for (int lane = 0; lane < kWidth; ++lane) top = highest[lane] > top ? highest[lane] : top;
    float shift_square = 0;
    for (std::int64_t k = 0; k < d; ++k) shift_square += slope[k] * slope[k] / 4;
    top += shift_square;
    margin = rounding(d) * (shift_square + square + largest_bias);
    // A bound that leaves the range of float is none: such a block is always searched.
    if (!(absolute(top + margin) < kInfinity)) {
      for (std::int64_t k = 0; k < d; ++k) slope[k] = 0;
      top = kInfinity;
      margin = 0;
    }
  }
  for (std::int64_t k = 0; k < d; ++k) boxes.shift[k * boxes.block_stride + block] = slope[k] / 2;
  boxes.top[block] = top + margin;
}

/// kD > 0 is the dimension, known to the compiler.
template <int kD>
OTNFM_INLINE void search_block(const Boxes& boxes, const float* x, std::int64_t block, std::int64_t first,
                               Nearest& best) {
  const std::int64_t d = kD > 0 ? kD : boxes.d;
  Floats values[kBlock / kWidth];
  Floats least = all<Floats>(kInfinity);
  for (std::int64_t part = 0; part < kBlock / kWidth; ++part) {
    const std::int64_t at = block * kBlock + part * kWidth;
    Floats value = {};
    for (std::int64_t k = 0; k < d; ++k) {
      const Floats difference = x[k] - load<Floats>(boxes.coordinate + k * boxes.point_stride + at);
      value = multiply_add(difference, difference, value);
    }
    value -= load<Floats>(boxes.bias + at);
    values[part] = value;
    least = smaller(value, least);
  }
  if (not_above(least, all<Floats>(best.value)) == 0) return;
  float lowest = least[0];
  for (int lane = 1; lane < kWidth; ++lane) lowest = least[lane] < lowest ? least[lane] : lowest;
  for (std::int64_t part = 0; part < kBlock / kWidth; ++part) {
    const std::uint32_t where = not_above(values[part], all<Floats>(lowest));
    if (where == 0) continue;
    return offer(best, lowest, first + block * kBlock + part * kWidth + __builtin_ctz(where));
  }
}

template <int kD>
static void search_boxes(const Boxes& boxes, const float* x, std::int64_t first, Nearest& best) {
  const std::int64_t d = kD > 0 ? kD : boxes.d;
  float margin = 0;
  for (std::int64_t k = 0; k < d; ++k) margin += x[k] * x[k];
  margin *= rounding(d);
  float bounds[kMostBoxes];
  Floats least = all<Floats>(kInfinity);
  Integers least_at = {}, at = {};
  for (int lane = 0; lane < kWidth; ++lane) at[lane] = lane;
  for (std::int64_t block = 0; block < boxes.block_stride; block += kWidth, at += static_cast<std::int32_t>(kWidth)) {
    Floats bound = {};
    Floats linear = load<Floats>(boxes.top + block);
    for (std::int64_t k = 0; k < d; ++k) {
      const Floats shift = load<Floats>(boxes.shift + k * boxes.block_stride + block), shifted = x[k] + shift;
      const Floats below = load<Floats>(boxes.low + k * boxes.block_stride + block) - shifted,
                   above = shifted - load<Floats>(boxes.high + k * boxes.block_stride + block);
      const Floats outside = larger(larger(below, above), Floats{});
      bound = multiply_add(outside, outside, bound);
      linear = multiply_add(shift, all<Floats>(2 * x[k]), linear);
    }
    bound -= linear + margin;
    store(bounds + block, bound);
    const Integers less = bound < least;
    least = less ? bound : least;
    least_at = less ? at : least_at;
  }
  // The block that promises most first: most of the others need no look then.
  std::int64_t promising = least_at[0];
  for (int lane = 1; lane < kWidth; ++lane)
    if (bounds[least_at[lane]] < bounds[promising]) promising = least_at[lane];
  if (promising < boxes.blocks) search_block<kD>(boxes, x, promising, first, best);
  for (std::int64_t block = 0; block < boxes.block_stride; block += kWidth) {
    std::uint32_t worth = not_above(load<Floats>(bounds + block), all<Floats>(best.value));
    for (; worth != 0; worth &= worth - 1) {
      const std::int64_t other = block + __builtin_ctz(worth);
      if (bounds[other] <= best.value && other != promising && other < boxes.blocks)
        search_block<kD>(boxes, x, other, first, best);
    }
  }
}

static void search_row(const float* offset, const float* product, std::int64_t columns, std::int64_t first,
                       Nearest* result) {
  Nearest best = *result;
  Floats least = all<Floats>(kInfinity);
  Integers least_at = {}, at = {};
  for (int lane = 0; lane < kWidth; ++lane) at[lane] = lane;
  std::int64_t j = 0;
  for (; j + kWidth <= columns; j += kWidth, at += static_cast<std::int32_t>(kWidth)) {
    const Floats value = multiply_add(all<Floats>(-2.0f), load<Floats>(product + j), load<Floats>(offset + j));
    const Integers less = value < least;
    least = less ? value : least;
    least_at = less ? at : least_at;
  }
  for (int lane = 0; lane < kWidth; ++lane)
    if (least[lane] < kInfinity) offer(best, least[lane], first + least_at[lane]);
  for (; j < columns; ++j) offer(best, __builtin_fmaf(-2.0f, product[j], offset[j]), first + j);
  *result = best;
}

static void search(const Boxes& boxes, const float* x, std::int64_t first, Nearest* best) {
  switch (boxes.d) {
    case 1:
      return search_boxes<1>(boxes, x, first, *best);
    case 2:
      return search_boxes<2>(boxes, x, first, *best);
    case 3:
      return search_boxes<3>(boxes, x, first, *best);
    default:
      return search_boxes<0>(boxes, x, first, *best);
  }
}

}  // namespace otnfm::cpu::OTNFM_PROCESSOR
