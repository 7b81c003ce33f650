// 4 bytes an element forward, 8 backward, 1 or 2 FLOPs: bound by memory. Along the rows a warp takes a short row, a
// block a long one; down the columns the two launches of column_fold.h.
#include "kernels/reduce.h"

#include "kernels/device/column_fold.h"
#include "kernels/device/elements.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kLongRow = 512;  // from where a warp would leave too few loads in flight

/// The larger; NaN counts as the largest.
struct LargerOrNan {
  __device__ __forceinline__ float operator()(float a, float b) const { return b > a || b != b ? b : a; }
};

/// An element of a row or a column and where it stood.
struct Ranked {
  std::int64_t where;
  float value;
  std::int32_t filler;  // so that no byte is undefined
};

/// The one whose value is larger (NaN the largest), of equal ones the first.
struct FirstMaximum {
  __device__ __forceinline__ Ranked operator()(const Ranked& a, const Ranked& b) const {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (a.value > b.value) return a;
    if (b.value > a.value) return b;
    return a.where < b.where ? a : b;
  }
};

constexpr std::int64_t kNowhere = std::numeric_limits<std::int64_t>::max();

/// All threads of the warp or block that share a row.
template <int kThreadsARow, class T, class Combine>
__device__ __forceinline__ T row_reduce(T value, T identity, const Combine& combine) {
  if constexpr (kThreadsARow == kWarpSize)
    return warp_reduce(value, combine);
  else
    return block_reduce<kThreadsARow>(value, identity, combine);
}

/// body(i, lane) for each row i, for all kThreadsARow threads that share it together.
template <int kThreadsARow, class Body>
__device__ __forceinline__ void for_each_row(std::int64_t rows, const Body& body) {
  constexpr int kRowsABlock = kThreads / kThreadsARow;
  const int lane = static_cast<int>(threadIdx.x) % kThreadsARow, slot = static_cast<int>(threadIdx.x) / kThreadsARow;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kRowsABlock + slot; i < rows;
       i += std::int64_t{gridDim.x} * kRowsABlock)
    body(i, lane);
}

template <int kThreadsARow>
std::int64_t row_grid(std::int64_t rows) {
  return grid_for(rows, kThreads / kThreadsARow);
}

template <Reduction kReduction, int kThreadsARow>
__global__ void reduce_rows_kernel(ReduceRows a) {
  const std::int64_t d = a.x.columns();
  for_each_row<kThreadsARow>(a.x.rows(), [&](std::int64_t i, int lane) {
    const float* x = a.x.row(i);
    if constexpr (kReduction == Reduction::max) {
      float best = kLowest<float>;
      for (std::int64_t j = lane; j < d; j += kThreadsARow) best = LargerOrNan{}(best, x[j]);
      best = row_reduce<kThreadsARow>(best, kLowest<float>, LargerOrNan{});
      if (lane == 0) a.y.data[i] = best;
    } else {
      float sum = 0;
      for (std::int64_t j = lane; j < d; j += kThreadsARow)
        sum += kReduction == Reduction::sum_of_squares ? x[j] * x[j] : x[j];
      sum = row_reduce<kThreadsARow>(sum, 0.0f, Sum{});
      if (lane == 0) a.y.data[i] = kReduction == Reduction::mean && d > 0 ? sum / static_cast<float>(d) : sum;
    }
  });
}

template <Reduction kReduction>
__global__ void reduce_columns_kernel(ReduceColumns a, ColumnChunks chunks, float divisor, float* partial) {
  const std::int64_t strip = blockIdx.x % chunks.strips, chunk = blockIdx.x / chunks.strips, d = a.x.columns();
  const std::int64_t begin = chunk * chunks.chunk_rows, end = min(begin + chunks.chunk_rows, a.x.rows());
  const auto store = [&](std::int64_t j, float result) { partial[chunk * d + j] = result / divisor; };
  if constexpr (kReduction == Reduction::max) {
    fold_strip(
        strip, begin, end, d, kLowest<float>, LargerOrNan{},
        [&](std::int64_t i, std::int64_t j) { return a.x.row(i)[j]; }, store);
  } else {
    fold_strip(
        strip, begin, end, d, 0.0f, Sum{},
        [&](std::int64_t i, std::int64_t j) {
          const float x = a.x.row(i)[j];
          return kReduction == Reduction::sum_of_squares ? x * x : x;
        },
        store);
  }
}

/// sum, mean, sum of squares: dy of the row or of the column, times a factor, and times x for the squares.
template <int kWidth, class Arguments, bool kColumns>
__global__ void spread_kernel(Arguments a, float factor, bool squares) {
  for_each_group<kWidth>(a.x.rows(), a.x.columns(), [&](std::int64_t i, std::int64_t j) {
    Group<float, kWidth> dx;
    for (int k = 0; k < kWidth; ++k) dx[k] = factor * a.dy.data[kColumns ? j + k : i];
    if (squares) {
      const auto x = load_group<kWidth>(a.x.row(i) + j);
      for (int k = 0; k < kWidth; ++k) dx[k] *= x[k];
    }
    store_group(a.dx.row(i) + j, dx);
  });
}

template <int kThreadsARow>
__global__ void maximum_of_rows_backward_kernel(ReduceRowsBackward a) {
  const std::int64_t d = a.x.columns();
  for_each_row<kThreadsARow>(a.x.rows(), [&](std::int64_t i, int lane) {
    const float* x = a.x.row(i);
    const Ranked none{kNowhere, kLowest<float>, 0};
    Ranked best = none;
    for (std::int64_t j = lane; j < d; j += kThreadsARow) best = FirstMaximum{}(best, Ranked{j, x[j], 0});
    best = row_reduce<kThreadsARow>(best, none, FirstMaximum{});
    for (std::int64_t j = lane; j < d; j += kThreadsARow) a.dx.row(i)[j] = j == best.where ? a.dy.data[i] : 0.0f;
  });
}

/// A block a strip of columns, as in fold_strip; it reads the strip, then writes it.
__global__ void maximum_of_columns_backward_kernel(ReduceColumnsBackward a) {
  SHARED_ARRAY_2D(Ranked, results, kFoldRows, kFoldColumns);
  const int column = static_cast<int>(threadIdx.x) % kFoldColumns, row = static_cast<int>(threadIdx.x) / kFoldColumns;
  const std::int64_t j = std::int64_t{blockIdx.x} * kFoldColumns + column, rows = a.x.rows();
  const bool inside = j < a.x.columns();
  Ranked best{kNowhere, kLowest<float>, 0};
  if (inside)
    for (std::int64_t i = row; i < rows; i += kFoldRows) best = FirstMaximum{}(best, Ranked{i, a.x.row(i)[j], 0});
  results[row][column] = best;
  __syncthreads();
  for (int other = 0; other < kFoldRows; ++other) best = FirstMaximum{}(best, results[other][column]);
  if (inside)
    for (std::int64_t i = row; i < rows; i += kFoldRows) a.dx.row(i)[j] = i == best.where ? a.dy.data[j] : 0.0f;
}

/// body.template operator()<reduction>()
template <class Body>
void with_reduction(Reduction reduction, const Body& body) {
  switch (reduction) {
    case Reduction::sum:
      return body.template operator()<Reduction::sum>();
    case Reduction::mean:
      return body.template operator()<Reduction::mean>();
    case Reduction::sum_of_squares:
      return body.template operator()<Reduction::sum_of_squares>();
    case Reduction::max:
      return body.template operator()<Reduction::max>();
  }
}

/// The factor of the backward, where the mean is over n elements.
float backward_factor(Reduction reduction, std::int64_t n) {
  if (reduction == Reduction::mean) return static_cast<float>(1.0 / static_cast<double>(std::max<std::int64_t>(1, n)));
  return reduction == Reduction::sum_of_squares ? 2.0f : 1.0f;
}

template <bool kColumns, class Arguments>
void spread(Stream& stream, const Arguments& a, std::int64_t mean_over) {
  const bool grouped = can_group(a.x, a.dx);
  launch(grouped ? spread_kernel<kGroup, Arguments, kColumns> : spread_kernel<1, Arguments, kColumns>,
         element_grid(a.x.rows(), a.x.columns(), grouped), kElementThreads, 0, stream.cuda(), a,
         backward_factor(a.reduction, mean_over), a.reduction == Reduction::sum_of_squares);
}

}  // namespace

void reduce_rows(Stream& stream, const ReduceRows& a) {
  with_reduction(a.reduction, [&]<Reduction kReduction>() {
    if (a.x.columns() < kLongRow)
      launch(reduce_rows_kernel<kReduction, kWarpSize>, row_grid<kWarpSize>(a.x.rows()), kThreads, 0, stream.cuda(), a);
    else
      launch(reduce_rows_kernel<kReduction, kThreads>, row_grid<kThreads>(a.x.rows()), kThreads, 0, stream.cuda(), a);
  });
}

void reduce_columns(Stream& stream, const ReduceColumns& a) {
  const ColumnChunks chunks = column_chunks(a.x.rows(), a.x.columns());
  const bool one = chunks.chunks == 1;  // needs no second launch
  float* const results = one ? a.y.data : reinterpret_cast<float*>(stream.workspace());
  const float divisor = a.reduction == Reduction::mean ? static_cast<float>(std::max<std::int64_t>(1, a.x.rows())) : 1;
  with_reduction(a.reduction, [&]<Reduction kReduction>() {
    launch(reduce_columns_kernel<kReduction>, chunks.blocks(), kFoldThreads, 0, stream.cuda(), a, chunks,
           one ? divisor : 1.0f, results);
  });
  if (one) return;
  if (a.reduction == Reduction::max)
    launch(fold_chunks_kernel<LargerOrNan>, chunks.strips, kFoldThreads, 0, stream.cuda(), results, chunks.chunks,
           a.x.columns(), kLowest<float>, LargerOrNan{}, divisor, a.y.data);
  else
    launch(fold_chunks_kernel<Sum>, chunks.strips, kFoldThreads, 0, stream.cuda(), results, chunks.chunks,
           a.x.columns(), 0.0f, Sum{}, divisor, a.y.data);
}

void reduce_rows_backward(Stream& stream, const ReduceRowsBackward& a) {
  if (a.reduction != Reduction::max) return spread<false>(stream, a, a.x.columns());
  if (a.x.columns() < kLongRow)
    launch(maximum_of_rows_backward_kernel<kWarpSize>, row_grid<kWarpSize>(a.x.rows()), kThreads, 0, stream.cuda(), a);
  else
    launch(maximum_of_rows_backward_kernel<kThreads>, row_grid<kThreads>(a.x.rows()), kThreads, 0, stream.cuda(), a);
}

void reduce_columns_backward(Stream& stream, const ReduceColumnsBackward& a) {
  if (a.reduction != Reduction::max) return spread<true>(stream, a, a.x.rows());
  launch(maximum_of_columns_backward_kernel, grid_for(a.x.columns(), kFoldColumns, kNowhere), kFoldThreads, 0,
         stream.cuda(), a);
}

}  // namespace otnfm::cuda
