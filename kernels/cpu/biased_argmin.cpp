// Few dimensions: 2 d + 3 operations a pair if all were computed; 65,536 points would take 256 queries some 8 ms of one
// core. But consecutive points that are near each other (ot/costs/spatial_order.h) let whole blocks of 64 be passed
// over. Where g are potentials of a transport, they change over a block nearly as |x - y|^2 does, so a bound from the
// box alone would be loose; with any s,
//     |x - y|^2 - g = |x + s - y|^2 - (g - 2 <s, y>) - 2 <s, x> - |s|^2
//                  >= dist(x + s, box)^2 - max over the block of (g - 2 <s, y>) - 2 <s, x> - |s|^2,
// and with 2 s the slope of g over the block (a regression) what is left is of second order in the block's size. The
// bound is lowered by more than its own roundings and a value's can add up to, so the answer is the same as without it.
// A query costs N / 64 bounds and a few blocks. For points in no order every block is computed, and the bounds cost
// 2% more. Boxes, slopes and transposed coordinates are made anew at every call.
//
// Many dimensions: 2 B N d FLOPs of GEMM in blocks of 256 x 2048, whose rows are searched while they are in the cache:
// the floor is the GEMM's.
#include "kernels/biased_argmin.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/library/onednn.h"
#include "kernels/cpu/loops/loops.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// ---- Few dimensions

static_assert(BiasedArgmin::kMostDirect == kMostBoxDimensions);
static_assert(kMostBoxes * (kBoxPoints + 3) * (BiasedArgmin::kMostDirect + 1) * std::int64_t{sizeof(float)} <=
              std::int64_t{Stream::kWorkspaceBytes});

void fill(const Boxes& boxes, const BiasedArgmin& a, std::int64_t first, std::int64_t count) {
  const std::int64_t d = boxes.d, stride = a.points.row_stride();
  const Loops& by = loops();
  const auto fill_blocks = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t at = block * kBoxPoints, points = std::min(kBoxPoints, count - at);
      for (std::int64_t k = 0; k < d; ++k) {
        float* to = boxes.coordinate + k * boxes.point_stride + at;
        const float* from = a.points.row(first + at) + k;
        for (std::int64_t j = 0; j < points; ++j) to[j] = from[j * stride];
        std::fill(to + points, to + kBoxPoints, to[0]);
      }
      std::copy_n(a.bias.data + first + at, points, boxes.bias + at);
      std::fill(boxes.bias + at + points, boxes.bias + at + kBoxPoints, -kInfinity);
      by.enclose(boxes, block, points);
    }
  };
  host::parallel_ranges(boxes.blocks, std::max<std::int64_t>(1, host::kElementGrain / (kBoxPoints * (d + 1))),
                        fill_blocks);
  for (std::int64_t block = boxes.blocks; block < boxes.block_stride; ++block) {
    for (std::int64_t k = 0; k < d; ++k)
      for (float* to : {boxes.low, boxes.high, boxes.shift}) to[k * boxes.block_stride + block] = 0;
    boxes.top[block] = -kInfinity;
  }
}

void search_directly(Stream& stream, const BiasedArgmin& a) {
  const std::int64_t N = a.points.rows(), d = a.x.columns();
  for (std::int64_t first = 0; first < N; first += kMostBoxes * kBoxPoints) {
    const std::int64_t count = std::min(kMostBoxes * kBoxPoints, N - first);
    const Boxes boxes(stream.workspace(), d, count);
    fill(boxes, a, first, count);
    host::parallel_ranges(a.x.rows(), std::max<std::int64_t>(1, (1 << 16) / (boxes.block_stride + 4 * kBoxPoints)),
                          [&](std::int64_t begin, std::int64_t end) {
                            for (std::int64_t i = begin; i < end; ++i) {
                              Nearest best{a.value.data[i], a.index.data[i]};
                              loops().search(boxes, a.x.row(i), first, &best);
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

void search_by_products(Stream& stream, const BiasedArgmin& a) {
  const std::int64_t N = a.points.rows(), B = a.x.rows(), d = a.x.columns();
  float* const products = reinterpret_cast<float*>(stream.workspace() + onednn::kScratchBytes);
  float* const offset = products + kRows * kColumns;
  for (std::int64_t first = 0; first < N; first += kColumns) {
    const std::int64_t columns = std::min(kColumns, N - first);
    host::parallel_rows(columns, d, [&](std::int64_t begin, std::int64_t end) {
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
      host::parallel_rows(rows, columns, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          Nearest best{a.value.data[row + i], a.index.data[row + i]};
          loops().search_row(offset, products + i * columns, columns, first, &best);
          a.value.data[row + i] = best.value;
          a.index.data[row + i] = best.index;
        }
      });
    }
  }
  host::parallel_rows(B, d, [&](std::int64_t begin, std::int64_t end) {
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
