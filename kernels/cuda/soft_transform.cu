// n m exponentials a call, 16 a clock on each of 132 multiprocessors: at n = m = 4096, 16.8M of them, 4 us. On top:
//   from points  2 n m d FLOPs (3 n m d by differences) in float32 on 128 FMA lanes: d = 64, 2.1 GFLOP, 36 us; the
//                points themselves are read n / 128 times from L2. A block owns 128 rows by tiles of 64 columns, a
//                thread 8 x 4 pairs of it: 3 loads of 16 bytes from shared memory for 32 multiply-adds. Each slice of
//                16 dimensions is summed on its own, so that 784 products round like 16 + 49 and not like 784.
//   stored       4 n m bytes (2 fixed): at 4.3 TB/s 16 us (8 us), less while the matrix stays in the 50 MB of L2. Along
//                the rows a warp takes 4 of them at once, since the potentials beside them are 8 bytes a column; down
//                the columns (`transposed`) a thread owns a group of columns, and the 8 warps of a block take the rows
//                in turn.
// Each thread sums on its own, relative to its own largest exponent, as attention kernels do: a term costs one
// exponential, and one more where the largest rises, which soon is rare. Where rows are few, their columns are split
// over blocks. The parts go to the workspace and are put together, with what the update says, by a second launch: the
// split depends on the shape alone, so the result is the same on every device.
#include <algorithm>

#include "kernels/device/elements.h"
#include "kernels/device/log_sum.h"
#include "kernels/device/vector.h"
#include "kernels/device/warp.h"
#include "kernels/soft_transform.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / kWarpSize;
constexpr int kFinishThreads = 128;

// From points.
constexpr int kTileRows = 128, kTileColumns = 64, kSlice = 16;  // of the dimensions
constexpr int kThreadRows = 8, kThreadColumns = 4, kThreadsARow = kTileColumns / kThreadColumns;
constexpr std::int64_t kPointBlocks = 2 * 132;  // two a multiprocessor, by their registers

// Stored.
constexpr int kRowsAtOnce = 4;
constexpr std::int64_t kStoredBlocks = 4 * 132;

/// How the columns of a sum are shared among blocks.
struct Split {
  std::int64_t blocks;  // of targets
  std::int64_t parts;   // of the columns
  std::int64_t length;  // columns a part, but the last
};

/// `unit`: columns that are never split.
Split split_columns(std::int64_t target_blocks, std::int64_t columns, std::int64_t unit, std::int64_t most_blocks) {
  const std::int64_t units = (columns + unit - 1) / unit;
  const std::int64_t parts = std::clamp<std::int64_t>(most_blocks / std::max<std::int64_t>(1, target_blocks), 1,
                                                      std::max<std::int64_t>(1, units));
  const std::int64_t each = (units + parts - 1) / parts;
  return {target_blocks, (units + each - 1) / std::max<std::int64_t>(1, each), each * unit};
}

__device__ __forceinline__ float as_float(float value) {
  return value;
}
__device__ __forceinline__ float as_float(std::uint16_t value) {
  return static_cast<float>(value);
}

/// The larger of kCount numbers.
template <int kCount>
__device__ __forceinline__ float largest(const float (&values)[kCount]) {
  float result = values[0];
  for (int k = 1; k < kCount; ++k) result = fmaxf(result, values[k]);
  return result;
}

/// A slice of the points' coordinates, [kSlice, kPoints + 4] in shared memory, zeros beyond the last.
template <int kPoints>
__device__ __forceinline__ void load_slice(const View<const float>& points, std::int64_t first, std::int64_t k0,
                                           float* slice) {
  for (int at = static_cast<int>(threadIdx.x); at < kPoints * kSlice; at += kThreads) {
    const int point = at / kSlice, k = at % kSlice;
    const std::int64_t i = first + point;
    slice[k * (kPoints + 4) + point] = i < points.rows() && k0 + k < points.columns() ? points.row(i)[k0 + k] : 0.0f;
  }
}

template <PairForm kForm, bool kMean>
__global__ void __launch_bounds__(kThreads, 2) points_kernel(SoftTransformPoints a, Split split, LogSum* partial) {
  SHARED_ARRAY(float, x_slice, kSlice*(kTileRows + 4));
  SHARED_ARRAY(float, y_slice, kSlice*(kTileColumns + 4));
  const std::int64_t n = a.x.rows(), m = a.y.rows(), d = a.x.columns();
  const std::int64_t first_row = blockIdx.x % split.blocks * kTileRows, part = blockIdx.x / split.blocks;
  const std::int64_t begin = part * split.length, end = min(begin + split.length, m);
  const int row = static_cast<int>(threadIdx.x) / kThreadsARow * kThreadRows;
  const int column = static_cast<int>(threadIdx.x) % kThreadsARow * kThreadColumns;
  LogSum sums[kThreadRows];
  for (LogSum& sum : sums) sum = LogSum::none();
  for (std::int64_t j0 = begin; j0 < end; j0 += kTileColumns) {
    float s[kThreadRows][kThreadColumns] = {};
    for (std::int64_t k0 = 0; k0 < d; k0 += kSlice) {
      __syncthreads();
      if (d > kSlice || j0 == begin) load_slice<kTileRows>(a.x, first_row, k0, x_slice);
      load_slice<kTileColumns>(a.y, j0, k0, y_slice);
      __syncthreads();
      const int depth = static_cast<int>(min(d - k0, std::int64_t{kSlice}));
      float slice[kThreadRows][kThreadColumns] = {};
      for (int k = 0; k < depth; ++k) {
        const float* const x_column = x_slice + k * (kTileRows + 4) + row;
        const auto low = load_group<4>(x_column), high = load_group<4>(x_column + 4);
        const float x[kThreadRows] = {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
        const auto y = load_group<kThreadColumns>(y_slice + k * (kTileColumns + 4) + column);
#pragma unroll
        for (int r = 0; r < kThreadRows; ++r)
#pragma unroll
          for (int c = 0; c < kThreadColumns; ++c) {
            if constexpr (kForm == PairForm::product) {
              slice[r][c] = fma_rn(x[r], y[c], slice[r][c]);
            } else {
              const float apart = x[r] - y[c];
              slice[r][c] = fma_rn(apart, apart, slice[r][c]);
            }
          }
      }
#pragma unroll
      for (int r = 0; r < kThreadRows; ++r)
#pragma unroll
        for (int c = 0; c < kThreadColumns; ++c) s[r][c] += slice[r][c];
    }
    float exponent[kThreadColumns], weight[kThreadColumns];
    for (int c = 0; c < kThreadColumns; ++c) {
      const std::int64_t j = j0 + column + c;
      exponent[c] = j < end ? exponent_of(a.source, j) : LogSum::kNoWeight;
      weight[c] = j < end ? a.source.weight.data[j] : 0.0f;
    }
#pragma unroll
    for (int r = 0; r < kThreadRows; ++r) {
      float terms[kThreadColumns];
#pragma unroll
      for (int c = 0; c < kThreadColumns; ++c) {
        if constexpr (kForm == PairForm::negative_square) s[r][c] = -s[r][c];
        if constexpr (kForm == PairForm::negative_distance) s[r][c] = -sqrtf(s[r][c]);
        terms[c] = fma_rn(a.scale, s[r][c], exponent[c]);
      }
      sums[r].raise(largest(terms));
#pragma unroll
      for (int c = 0; c < kThreadColumns; ++c) sums[r].template add<kMean>(terms[c], weight[c], s[r][c]);
    }
  }
#pragma unroll
  for (int r = 0; r < kThreadRows; ++r) {
    for (int step = kThreadsARow / 2; step > 0; step /= 2) sums[r].add(shuffle_xor(sums[r], step));
    const std::int64_t i = first_row + row + r;
    if (column == 0 && i < n) partial[part * n + i] = sums[r];
  }
}

/// A warp takes kRowsAtOnce rows, its lanes groups of kWidth columns.
template <class Arguments, int kWidth, bool kMean>
__global__ void __launch_bounds__(kThreads) rows_kernel(Arguments a, Split split, LogSum* partial) {
  const std::int64_t n = a.s.rows(), m = a.s.columns();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const std::int64_t part = blockIdx.x / split.blocks;
  const std::int64_t row = (blockIdx.x % split.blocks * kWarps + warp) * kRowsAtOnce;
  const std::int64_t begin = part * split.length, end = min(begin + split.length, m);
  LogSum sums[kRowsAtOnce];
  for (LogSum& sum : sums) sum = LogSum::none();
  for (std::int64_t j = begin + lane * kWidth; j < end; j += kWarpSize * kWidth) {
    float exponent[kWidth], weight[kWidth];
#pragma unroll
    for (int c = 0; c < kWidth; ++c) {
      exponent[c] = exponent_of(a.source, j + c);
      weight[c] = a.source.weight.data[j + c];
    }
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      if (row + r >= n) break;
      const auto stored = load_group<kWidth>(a.s.row(row + r) + j);
      float s[kWidth], terms[kWidth];
#pragma unroll
      for (int c = 0; c < kWidth; ++c) {
        s[c] = as_float(stored[c]);
        terms[c] = fma_rn(a.scale, s[c], exponent[c]);
      }
      sums[r].raise(largest(terms));
#pragma unroll
      for (int c = 0; c < kWidth; ++c) sums[r].template add<kMean>(terms[c], weight[c], s[c]);
    }
  }
#pragma unroll
  for (int r = 0; r < kRowsAtOnce; ++r) {
    for (int step = kWarpSize / 2; step > 0; step /= 2) sums[r].add(shuffle_xor(sums[r], step));
    if (lane == 0 && row + r < n) partial[part * n + row + r] = sums[r];
  }
}

/// A block takes kWarpSize groups of kWidth columns, its warps the rows of its part in turn, kRowsAtOnce at a time.
template <class Arguments, int kWidth, bool kMean>
__global__ void __launch_bounds__(kThreads) columns_kernel(Arguments a, Split split, LogSum* partial) {
  constexpr int kStrip = kWarpSize * kWidth;
  SHARED_ARRAY(LogSum, parts, kWarps * kStrip);
  const std::int64_t columns = a.s.columns();
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, warp = static_cast<int>(threadIdx.x) / kWarpSize;
  const std::int64_t first = blockIdx.x % split.blocks * kStrip, part = blockIdx.x / split.blocks;
  const std::int64_t begin = part * split.length, end = min(begin + split.length, a.s.rows());
  const std::int64_t j = first + lane * kWidth;
  LogSum sums[kWidth];
  for (LogSum& sum : sums) sum = LogSum::none();
  if (j < columns) {
    for (std::int64_t i0 = begin + warp * kRowsAtOnce; i0 < end; i0 += kWarps * kRowsAtOnce) {
      float s[kRowsAtOnce][kWidth] = {}, exponent[kRowsAtOnce], weight[kRowsAtOnce];
#pragma unroll
      for (int r = 0; r < kRowsAtOnce; ++r) {
        const bool inside = i0 + r < end;
        exponent[r] = inside ? exponent_of(a.source, i0 + r) : LogSum::kNoWeight;
        weight[r] = inside ? a.source.weight.data[i0 + r] : 0.0f;
        if (!inside) continue;
        const auto stored = load_group<kWidth>(a.s.row(i0 + r) + j);
#pragma unroll
        for (int c = 0; c < kWidth; ++c) s[r][c] = as_float(stored[c]);
      }
#pragma unroll
      for (int c = 0; c < kWidth; ++c) {
        float terms[kRowsAtOnce];
#pragma unroll
        for (int r = 0; r < kRowsAtOnce; ++r) terms[r] = fma_rn(a.scale, s[r][c], exponent[r]);
        sums[c].raise(largest(terms));
#pragma unroll
        for (int r = 0; r < kRowsAtOnce; ++r) sums[c].template add<kMean>(terms[r], weight[r], s[r][c]);
      }
    }
  }
#pragma unroll
  for (int c = 0; c < kWidth; ++c) parts[warp * kStrip + lane * kWidth + c] = sums[c];
  __syncthreads();
  const int own = static_cast<int>(threadIdx.x);
  if (own >= kStrip || first + own >= columns) return;
  LogSum sum = parts[own];
  for (int other = 1; other < kWarps; ++other) sum.add(parts[other * kStrip + own]);
  partial[part * columns + first + own] = sum;
}

__global__ void finish_kernel(SoftTarget target, std::int64_t n, std::int64_t parts, const LogSum* partial) {
  const std::int64_t i = blockIdx.x * std::int64_t{kFinishThreads} + threadIdx.x;
  if (i >= n) return;
  LogSum row = partial[i];
  for (std::int64_t part = 1; part < parts; ++part) row.add(partial[part * n + i]);
  update_target(target, i, row);
}

/// Runs kernel(arguments, split, partial), then puts the parts together.
template <class Kernel, class Arguments>
void run(Stream& stream, const Kernel& kernel, const Arguments& a, const Split& split, std::int64_t n) {
  auto* const partial = reinterpret_cast<LogSum*>(stream.workspace());
  launch(kernel, split.blocks * split.parts, kThreads, 0, stream.cuda(), a, split, partial);
  launch(finish_kernel, grid_for(n, kFinishThreads, kMostSoftTargets), kFinishThreads, 0, stream.cuda(), a.target, n,
         split.parts, partial);
}

template <int kWidth, class Arguments>
void transform_stored(Stream& stream, const Arguments& a) {
  const bool mean = a.target.mean.data != nullptr;
  const std::int64_t rows = a.s.rows(), columns = a.s.columns();
  if (a.transposed) {
    const Split split =
        split_columns((columns - 1) / (kWarpSize * kWidth) + 1, rows, kWarps * kRowsAtOnce, kStoredBlocks);
    run(stream, mean ? columns_kernel<Arguments, kWidth, true> : columns_kernel<Arguments, kWidth, false>, a, split,
        columns);
  } else {
    const Split split =
        split_columns((rows - 1) / (kWarps * kRowsAtOnce) + 1, columns, kWarpSize * kWidth, kStoredBlocks);
    run(stream, mean ? rows_kernel<Arguments, kWidth, true> : rows_kernel<Arguments, kWidth, false>, a, split, rows);
  }
}

template <class T, class Arguments>
void transform_any_width(Stream& stream, const Arguments& a) {
  constexpr int kWidth = 16 / sizeof(T);
  if (a.target.before.shape[0] == 0) return;
  const bool wide = aligned16(a.s.data) && stride_aligned16<T>(a.s.row_stride()) && a.s.columns() % kWidth == 0;
  wide ? transform_stored<kWidth>(stream, a) : transform_stored<1>(stream, a);
}

template <PairForm kForm>
void transform_points(Stream& stream, const SoftTransformPoints& a) {
  const Split split = split_columns((a.x.rows() - 1) / kTileRows + 1, a.y.rows(), kTileColumns, kPointBlocks);
  run(stream, a.target.mean.data != nullptr ? points_kernel<kForm, true> : points_kernel<kForm, false>, a, split,
      a.x.rows());
}

}  // namespace

void soft_transform_points(Stream& stream, const SoftTransformPoints& a) {
  if (a.x.rows() == 0) return;
  switch (a.form) {
    case PairForm::product:
      return transform_points<PairForm::product>(stream, a);
    case PairForm::negative_square:
      return transform_points<PairForm::negative_square>(stream, a);
    case PairForm::negative_distance:
      return transform_points<PairForm::negative_distance>(stream, a);
  }
}

void soft_transform_stored(Stream& stream, const SoftTransformStored& a) {
  transform_any_width<float>(stream, a);
}

void soft_transform_fixed(Stream& stream, const SoftTransformFixed& a) {
  transform_any_width<std::uint16_t>(stream, a);
}

}  // namespace otnfm::cuda
