// Few dimensions: 2 d + 3 operations a pair if all were computed; 65,536 points would take 256 queries some 8 ms of one
// core. But consecutive points that are near each other (ot/costs/spatial_order.h) let whole blocks of 64 be passed
// over. Where g are potentials of a transport, they change over a block nearly as |x - y|^2 does, so a bound from the
// box alone would be loose; with any s,
//     |x - y|^2 - g = |x + s - y|^2 - (g - 2 <s, y>) - 2 <s, x> - |s|^2
//                  >= dist(x + s, box)^2 - max over the block of (g - 2 <s, y>) - 2 <s, x> - |s|^2,
// and with 2 s the slope of g over the block (a regression) what is left is of second order in the block's size. The
// bound gives way by more than all roundings of it and of a value can add up to, so the answer is the same as without
// it. A query costs N / 64 bounds and a few blocks. For points in no order every block is computed, and the bounds cost
// 2% more. Boxes, slopes and transposed coordinates are made anew at every call.
//
// Many dimensions: 2 B N d FLOPs of GEMM in blocks of 256 x 2048, whose rows are searched while they are in the cache:
// the floor is the GEMM's.
#include "kernels/biased_argmin.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/library/onednn.h"
#include "kernels/cpu/parallel.h"
#include "kernels/device/math.h"

namespace otnfm::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kWidth = kLaneCount<float>;

using Floats = Lanes<float>;
using Integers = Lanes<std::int32_t>;

Floats load(const float* from) {
  Floats lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}
void store(float* to, Floats lanes) {
  std::memcpy(to, &lanes, sizeof(lanes));
}
Floats smaller(Floats a, Floats b) {
  return a < b ? a : b;
}
Floats larger(Floats a, Floats b) {
  return a > b ? a : b;
}
Floats multiply_add(Floats a, Floats b, Floats c) {
  for (int lane = 0; lane < kWidth; ++lane) c[lane] = fma_rn(a[lane], b[lane], c[lane]);
  return c;
}
/// A bit for each lane where a <= b.
std::uint32_t not_above(Floats a, Floats b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), _CMP_LE_OQ);
#else
  std::uint32_t bits = 0;
  for (int lane = 0; lane < kWidth; ++lane) bits |= std::uint32_t{a[lane] <= b[lane]} << lane;
  return bits;
#endif
}

/// The best so far of a query: a lower value, of equal ones the lower index.
struct Best {
  float value = kInfinity;
  std::int64_t index = -1;
  void offer(float other, std::int64_t at) {
    if (other < value || (other == value && index >= 0 && at < index)) value = other, index = at;
  }
};

// ---- Few dimensions

constexpr std::int64_t kBlock = 64;            // points a box
constexpr std::int64_t kMostBlocks = 1 << 12;  // as many as are kept in the workspace at once

/// Points [first, first + count) in the workspace: coordinates and biases in arrays of their own, and the boxes. What
/// fills the last block has the bias -infinity, hence the value infinity.
struct Boxes {
  std::int64_t d = 0, blocks = 0, block_stride = 0, point_stride = 0;
  float *coordinate, *bias;   // [d, points], [points]
  float *low, *high, *shift;  // [d, blocks]; shift is s
  float* top;                 // [blocks]: max (g - 2 <s, y>) + |s|^2 + the roundings

  Boxes(std::byte* workspace, std::int64_t dimension, std::int64_t count) : d(dimension) {
    blocks = (count + kBlock - 1) / kBlock;
    block_stride = (blocks + kWidth - 1) / kWidth * kWidth;
    point_stride = blocks * kBlock;
    coordinate = reinterpret_cast<float*>(workspace);
    bias = coordinate + d * point_stride;
    low = bias + point_stride;
    high = low + d * block_stride;
    shift = high + d * block_stride;
    top = shift + d * block_stride;
  }
};
static_assert(kMostBlocks * (kBlock + 3) * (BiasedArgmin::kMostDirect + 1) * std::int64_t{sizeof(float)} <=
              std::int64_t{Stream::kWorkspaceBytes});

/// What the roundings of a bound and of a value add up to, over |x|^2 + |s|^2 + |y|^2 + |g|: counted term by term, each
/// of them is at most so many halves of a unit in the last place of that sum.
float rounding(std::int64_t d) {
  return static_cast<float>(7 * d + 36) * 0x1p-24f;
}

float sum_of(Floats lanes) {
  float sum = 0;
  for (int lane = 0; lane < kWidth; ++lane) sum += lanes[lane];
  return sum;
}

/// One block, whose coordinates and biases are in place.
void enclose(const Boxes& boxes, std::int64_t block, std::int64_t points) {
  const std::int64_t d = boxes.d, at = block * kBlock;
  const float *coordinate = boxes.coordinate + at, *bias = boxes.bias + at;
  float rest[kBlock];  // of the bias, without the slope
  float top = -kInfinity, largest_bias = 0, square = 0;
  bool finite = true;
  for (std::int64_t j = 0; j < points; ++j) {
    top = bias[j] > top ? bias[j] : top;
    const float size = std::abs(bias[j]);
    largest_bias = size > largest_bias ? size : largest_bias;
    finite &= size < kInfinity;
  }
  float slope[BiasedArgmin::kMostDirect] = {}, mean[BiasedArgmin::kMostDirect];
  for (std::int64_t k = 0; k < d; ++k) {
    const float* y = coordinate + k * boxes.point_stride;
    Floats low = load(y), high = low, sum = {};
    std::uint32_t numbers = 0xffff;
    for (std::int64_t j = 0; j < kBlock; j += kWidth) {
      const Floats values = load(y + j);
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
    const bool all_finite = numbers == 0xffff;
    finite &= all_finite;
    boxes.low[k * boxes.block_stride + block] = all_finite ? least : -kInfinity;
    boxes.high[k * boxes.block_stride + block] = all_finite ? most : kInfinity;
    const float reach = std::max(std::abs(least), std::abs(most));
    square += reach * reach;
    mean[k] = sum_of(sum) / static_cast<float>(kBlock);
  }
  float margin = 0;
  if (finite && points == kBlock) {
    // Axis by axis, twice, as the axes may be correlated.
    std::copy_n(bias, kBlock, rest);
    for (int sweep = 0; sweep < 2; ++sweep)
      for (std::int64_t k = 0; k < d; ++k) {
        const float* y = coordinate + k * boxes.point_stride;
        Floats variance = {}, covariance = {};
        for (std::int64_t j = 0; j < kBlock; j += kWidth) {
          const Floats centred = load(y + j) - mean[k];
          variance = multiply_add(centred, centred, variance);
          covariance = multiply_add(centred, load(rest + j), covariance);
        }
        const float step = sum_of(covariance) / sum_of(variance);
        if (!(std::abs(step) < kInfinity)) continue;
        slope[k] += step;
        for (std::int64_t j = 0; j < kBlock; j += kWidth)
          store(rest + j, load(rest + j) - step * (load(y + j) - mean[k]));
      }
    Floats highest = Floats{} - kInfinity;
    for (std::int64_t j = 0; j < kBlock; j += kWidth) {
      Floats left = load(bias + j);
      for (std::int64_t k = 0; k < d; ++k)
        left = multiply_add(Floats{} - slope[k], load(coordinate + k * boxes.point_stride + j), left);
      highest = larger(left, highest);
    }
    top = -kInfinity;
    for (int lane = 0; lane < kWidth; ++lane) top = highest[lane] > top ? highest[lane] : top;
    float shift_square = 0;
    for (std::int64_t k = 0; k < d; ++k) shift_square += slope[k] * slope[k] / 4;
    top += shift_square;
    margin = rounding(d) * (shift_square + square + largest_bias);
  }
  for (std::int64_t k = 0; k < d; ++k) boxes.shift[k * boxes.block_stride + block] = slope[k] / 2;
  boxes.top[block] = top + margin;
}

void fill(const Boxes& boxes, const BiasedArgmin& a, std::int64_t first, std::int64_t count) {
  const std::int64_t d = boxes.d, stride = a.points.row_stride();
  const auto fill_blocks = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t at = block * kBlock, points = std::min(kBlock, count - at);
      for (std::int64_t k = 0; k < d; ++k) {
        float* to = boxes.coordinate + k * boxes.point_stride + at;
        const float* from = a.points.row(first + at) + k;
        for (std::int64_t j = 0; j < points; ++j) to[j] = from[j * stride];
        std::fill(to + points, to + kBlock, to[0]);
      }
      std::copy_n(a.bias.data + first + at, points, boxes.bias + at);
      std::fill(boxes.bias + at + points, boxes.bias + at + kBlock, -kInfinity);
      enclose(boxes, block, points);
    }
  };
  parallel_ranges(boxes.blocks, std::max<std::int64_t>(1, kElementGrain / (kBlock * (d + 1))), fill_blocks);
  for (std::int64_t block = boxes.blocks; block < boxes.block_stride; ++block) {
    for (std::int64_t k = 0; k < d; ++k)
      for (float* to : {boxes.low, boxes.high, boxes.shift}) to[k * boxes.block_stride + block] = 0;
    boxes.top[block] = -kInfinity;
  }
}

/// kD > 0 is the dimension, known to the compiler.
template <int kD>
void search_block(const Boxes& boxes, const float* x, std::int64_t block, std::int64_t first, Best& best) {
  const std::int64_t d = kD > 0 ? kD : boxes.d;
  Floats values[kBlock / kWidth];
  Floats least = Floats{} + kInfinity;
  for (std::int64_t part = 0; part < kBlock / kWidth; ++part) {
    const std::int64_t at = block * kBlock + part * kWidth;
    Floats value = {};
    for (std::int64_t k = 0; k < d; ++k) {
      const Floats difference = x[k] - load(boxes.coordinate + k * boxes.point_stride + at);
      value = multiply_add(difference, difference, value);
    }
    value -= load(boxes.bias + at);
    values[part] = value;
    least = smaller(value, least);
  }
  if (not_above(least, Floats{} + best.value) == 0) return;
  float lowest = least[0];
  for (int lane = 1; lane < kWidth; ++lane) lowest = least[lane] < lowest ? least[lane] : lowest;
  for (std::int64_t part = 0; part < kBlock / kWidth; ++part) {
    const std::uint32_t where = not_above(values[part], Floats{} + lowest);
    if (where == 0) continue;
    return best.offer(lowest, first + block * kBlock + part * kWidth + std::countr_zero(where));
  }
}

template <int kD>
void search(const Boxes& boxes, const float* x, std::int64_t first, Best& best) {
  const std::int64_t d = kD > 0 ? kD : boxes.d;
  float margin = 0;
  for (std::int64_t k = 0; k < d; ++k) margin += x[k] * x[k];
  margin *= rounding(d);
  float bounds[kMostBlocks];
  Floats least = Floats{} + kInfinity;
  Integers least_at = {}, at = {};
  for (int lane = 0; lane < kWidth; ++lane) at[lane] = lane;
  for (std::int64_t block = 0; block < boxes.block_stride; block += kWidth, at += static_cast<std::int32_t>(kWidth)) {
    Floats bound = {};
    Floats linear = load(boxes.top + block);
    for (std::int64_t k = 0; k < d; ++k) {
      const Floats shift = load(boxes.shift + k * boxes.block_stride + block), shifted = x[k] + shift;
      const Floats below = load(boxes.low + k * boxes.block_stride + block) - shifted,
                   above = shifted - load(boxes.high + k * boxes.block_stride + block);
      const Floats outside = larger(larger(below, above), Floats{});
      bound = multiply_add(outside, outside, bound);
      linear = multiply_add(shift, Floats{} + 2 * x[k], linear);
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
    std::uint32_t worth = not_above(load(bounds + block), Floats{} + best.value);
    for (; worth != 0; worth &= worth - 1) {
      const std::int64_t other = block + std::countr_zero(worth);
      if (bounds[other] <= best.value && other != promising && other < boxes.blocks)
        search_block<kD>(boxes, x, other, first, best);
    }
  }
}

void search_directly(Stream& stream, const BiasedArgmin& a) {
  const std::int64_t N = a.points.rows(), d = a.x.columns();
  for (std::int64_t first = 0; first < N; first += kMostBlocks * kBlock) {
    const std::int64_t count = std::min(kMostBlocks * kBlock, N - first);
    const Boxes boxes(stream.workspace(), d, count);
    fill(boxes, a, first, count);
    parallel_ranges(a.x.rows(), std::max<std::int64_t>(1, (1 << 16) / (boxes.block_stride + 4 * kBlock)),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        Best best{a.value.data[i], a.index.data[i]};
                        if (d == 1)
                          search<1>(boxes, a.x.row(i), first, best);
                        else if (d == 2)
                          search<2>(boxes, a.x.row(i), first, best);
                        else if (d == 3)
                          search<3>(boxes, a.x.row(i), first, best);
                        else
                          search<0>(boxes, a.x.row(i), first, best);
                        a.value.data[i] = best.value;
                        a.index.data[i] = best.index;
                      }
                    });
  }
}

// ---- Many dimensions

constexpr std::int64_t kRows = 256, kColumns = 2048;
static_assert(onednn::kScratchBytes + (kRows + 1) * kColumns * sizeof(float) <= Stream::kWorkspaceBytes);

float square_of(const float* x, std::int64_t d) {
  return sum_lanes<float>(d, [&](const auto& load_at) {
    const auto values = load_at(x);
    return values * values;
  });
}

/// The least of offset_j - 2 product_j, which lacks |x|^2.
void search_row(const float* offset, const float* product, std::int64_t columns, std::int64_t first, Best& best) {
  Floats least = Floats{} + kInfinity;
  Integers least_at = {}, at = {};
  for (int lane = 0; lane < kWidth; ++lane) at[lane] = lane;
  std::int64_t j = 0;
  for (; j + kWidth <= columns; j += kWidth, at += static_cast<std::int32_t>(kWidth)) {
    const Floats value = multiply_add(Floats{} - 2.0f, load(product + j), load(offset + j));
    const Integers less = value < least;
    least = less ? value : least;
    least_at = less ? at : least_at;
  }
  for (int lane = 0; lane < kWidth; ++lane)
    if (least[lane] < kInfinity) best.offer(least[lane], first + least_at[lane]);
  for (; j < columns; ++j) best.offer(fma_rn(-2.0f, product[j], offset[j]), first + j);
}

void search_by_products(Stream& stream, const BiasedArgmin& a) {
  const std::int64_t N = a.points.rows(), B = a.x.rows(), d = a.x.columns();
  float* const products = reinterpret_cast<float*>(stream.workspace() + onednn::kScratchBytes);
  float* const offset = products + kRows * kColumns;
  for (std::int64_t first = 0; first < N; first += kColumns) {
    const std::int64_t columns = std::min(kColumns, N - first);
    parallel_rows(columns, d, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin; j < end; ++j)
        offset[j] = square_of(a.points.row(first + j), d) - a.bias.data[first + j];
    });
    for (std::int64_t row = 0; row < B; row += kRows) {
      const std::int64_t rows = std::min(kRows, B - row);
      const Gemm product{.transpose_b = true,
                         .m = rows,
                         .n = columns,
                         .k = d,
                         .row_stride_a = rows > 1 ? a.x.row_stride() : d,
                         .row_stride_b = columns > 1 ? a.points.row_stride() : d,
                         .row_stride_c = columns};
      onednn::gemm(stream.workspace(), product, a.x.row(row), a.points.row(first), nullptr, products);
      parallel_rows(rows, columns, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          Best best{a.value.data[row + i], a.index.data[row + i]};
          search_row(offset, products + i * columns, columns, first, best);
          a.value.data[row + i] = best.value;
          a.index.data[row + i] = best.index;
        }
      });
    }
  }
  parallel_rows(B, d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      if (a.index.data[i] >= 0) a.value.data[i] += square_of(a.x.row(i), d);
  });
}

}  // namespace

void biased_argmin(Stream& stream, const BiasedArgmin& a) {
  std::fill_n(a.index.data, a.x.rows(), std::int64_t{-1});
  std::fill_n(a.value.data, a.x.rows(), kInfinity);
  if (a.x.rows() == 0 || a.points.rows() == 0) return;
  if (a.x.columns() <= BiasedArgmin::kMostDirect) return search_directly(stream, a);
  search_by_products(stream, a);
}

}  // namespace otnfm::cpu
