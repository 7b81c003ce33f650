// Few dimensions: 2 d + 3 operations a pair and 4 (d + 1) bytes a point once a tile of queries, so bound by arithmetic:
// B = 256, N = 65,536, d = 2 is 0.12 GFLOP, some 4 us of an H100. A thread keeps two queries in registers; the block's
// points pass through shared memory, where a warp reads the same one (a broadcast).
//
// Many dimensions: 2 B N d FLOPs of fp32 fused multiply-adds (no tensor cores: TF32 would change who is nearest), the
// tile kernel of a matrix product with 4 x 4 sums a thread, whose tiles are searched in registers and never stored. B =
// 256, N = 60,000, d = 784 is 24 GFLOP: 0.4 ms at an H100's rate. |y|^2 is summed by the threads that load y.
//
// Both split the points into chunks, so that few queries also fill the device; a second kernel takes the best of the
// chunks. The least value with the lowest index does not depend on how points are split.
#include "kernels/biased_argmin.h"

#include <limits>

#include "kernels/device/launch.h"
#include "kernels/device/math.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

constexpr int kFoldThreads = 256;
constexpr std::int64_t kBlocksWanted = 4 * 132;  // a constant: see kMaxStridedBlocks

struct Candidate {
  float value;
  std::int32_t index;  // -1: none
};

__device__ __forceinline__ Candidate none() {
  return {std::numeric_limits<float>::infinity(), -1};
}

/// The lower value, of equal ones the lower index.
struct Better {
  __device__ __forceinline__ Candidate operator()(const Candidate& a, const Candidate& b) const {
    const bool second =
        a.index < 0 || (b.index >= 0 && (b.value < a.value || (b.value == a.value && b.index < a.index)));
    return {second ? b.value : a.value, second ? b.index : a.index};
  }
};

__global__ void fold_chunks_kernel(const Candidate* best, std::int64_t chunks, std::int64_t B, std::int64_t* index,
                                   float* value) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kFoldThreads + threadIdx.x; i < B;
       i += std::int64_t{gridDim.x} * kFoldThreads) {
    Candidate found = none();
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) found = Better{}(found, best[chunk * B + i]);
    index[i] = found.index;
    value[i] = found.value;
  }
}

// ---- Few dimensions

constexpr int kThreads = 128, kQueries = 2, kTile = 256;

/// d <= kD; the coordinates that are not there are 0 on both sides. best [chunks, B]
template <int kD>
__global__ void direct_kernel(BiasedArgmin a, std::int64_t chunk_points, Candidate* best) {
  constexpr int kStride = kD == 1 ? 2 : (kD + 4) / 4 * 4;  // a point with its bias, loaded as one
  SHARED_ARRAY(float, tile, kTile* kStride);
  const std::int64_t B = a.x.rows(), N = a.points.rows();
  const int d = static_cast<int>(a.x.columns());
  const std::int64_t row = std::int64_t{blockIdx.x} * kThreads * kQueries + threadIdx.x;
  const std::int64_t begin = blockIdx.y * chunk_points, end = min(begin + chunk_points, N);
  float x[kQueries][kD];
  Candidate found[kQueries];
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    const std::int64_t i = row + q * kThreads;
    for (int k = 0; k < kD; ++k) x[q][k] = i < B && k < d ? a.x.row(i)[k] : 0.0f;
    found[q] = none();
  }
  for (std::int64_t first = begin; first < end; first += kTile) {
    const int count = static_cast<int>(min(std::int64_t{kTile}, end - first));
    __syncthreads();
    for (int at = static_cast<int>(threadIdx.x); at < count * kStride; at += kThreads) {
      const int j = at / kStride, k = at % kStride;
      tile[at] = k < d ? a.points.row(first + j)[k] : k == kD ? a.bias.data[first + j] : 0.0f;
    }
    __syncthreads();
    for (int j = 0; j < count; ++j) {
      const float* const point = tile + j * kStride;
#pragma unroll
      for (int q = 0; q < kQueries; ++q) {
        float value = 0;
#pragma unroll
        for (int k = 0; k < kD; ++k) {
          const float difference = x[q][k] - point[k];
          value = fma_rn(difference, difference, value);
        }
        value -= point[kD];
        if (value < found[q].value) found[q] = {value, static_cast<std::int32_t>(first) + j};
      }
    }
  }
#pragma unroll
  for (int q = 0; q < kQueries; ++q) {
    const std::int64_t i = row + q * kThreads;
    if (i < B) best[blockIdx.y * B + i] = found[q];
  }
}

// ---- Many dimensions

constexpr int kSide = 64;   // queries and points a tile
constexpr int kDepth = 16;  // dimensions a step
constexpr int kSums = 4;    // a thread has 4 x 4 of the tile's products
constexpr int kTileThreads = 256;
constexpr int kThreadsARow = kSide / kSums;  // that share a row of the tile
constexpr int kLoaders = kTileThreads / kSide, kLoads = kDepth / kLoaders;

/// Row threadIdx.x / kLoaders of a slice of `rows`, transposed into shared memory; returns its part of |row|^2.
__device__ __forceinline__ float load_slice(const View<const float>& rows, std::int64_t first, std::int64_t depth,
                                            float (&slice)[kDepth][kSide + 4]) {
  const int row = static_cast<int>(threadIdx.x) / kLoaders, k0 = static_cast<int>(threadIdx.x) % kLoaders * kLoads;
  const bool inside = first + row < rows.rows();
  float square = 0;
#pragma unroll
  for (int k = 0; k < kLoads; ++k) {
    const std::int64_t column = depth + k0 + k;
    const float element = inside && column < rows.columns() ? rows.row(first + row)[column] : 0.0f;
    slice[k0 + k][row] = element;
    square = fma_rn(element, element, square);
  }
  return square;
}

/// The sum of the parts of the threads that load one row.
__device__ __forceinline__ float sum_of_loaders(float part) {
  for (int step = kLoaders / 2; step > 0; step /= 2) part += shuffle_xor(part, step);
  return part;
}

__global__ void __launch_bounds__(kTileThreads)
    expanded_kernel(BiasedArgmin a, std::int64_t chunk_points, Candidate* best) {
  SHARED_ARRAY_2D(float, xs, kDepth, kSide + 4);
  SHARED_ARRAY_2D(float, ys, kDepth, kSide + 4);
  SHARED_ARRAY(float, offset, kSide);    // |y_j|^2 - g_j
  SHARED_ARRAY(float, x_square, kSide);  // |x_i|^2
  const std::int64_t B = a.x.rows(), N = a.points.rows(), d = a.x.columns();
  const std::int64_t row = std::int64_t{blockIdx.x} * kSide;
  const std::int64_t begin = blockIdx.y * chunk_points, end = min(begin + chunk_points, N);
  const int i0 = static_cast<int>(threadIdx.x) / kThreadsARow * kSums,
            j0 = static_cast<int>(threadIdx.x) % kThreadsARow * kSums;
  const int loaded = static_cast<int>(threadIdx.x) / kLoaders;
  Candidate found[kSums];
  for (Candidate& candidate : found) candidate = none();

  for (std::int64_t first = begin; first < end; first += kSide) {
    float sums[kSums][kSums] = {};
    float square_of_x = 0, square_of_y = 0;
    for (std::int64_t depth = 0; depth < d; depth += kDepth) {
      __syncthreads();
      square_of_x += load_slice(a.x, row, depth, xs);
      square_of_y += load_slice(a.points, first, depth, ys);
      __syncthreads();
#pragma unroll
      for (int k = 0; k < kDepth; ++k) {
        float x[kSums], y[kSums];
#pragma unroll
        for (int s = 0; s < kSums; ++s) x[s] = xs[k][i0 + s], y[s] = ys[k][j0 + s];
#pragma unroll
        for (int s = 0; s < kSums; ++s)
#pragma unroll
          for (int t = 0; t < kSums; ++t) sums[s][t] = fma_rn(x[s], y[t], sums[s][t]);
      }
    }
    square_of_x = sum_of_loaders(square_of_x);
    square_of_y = sum_of_loaders(square_of_y);
    if (threadIdx.x % kLoaders == 0) {
      x_square[loaded] = square_of_x;
      // What lies beyond the points is never the best.
      offset[loaded] =
          first + loaded < end ? square_of_y - a.bias.data[first + loaded] : std::numeric_limits<float>::infinity();
    }
    __syncthreads();
#pragma unroll
    for (int s = 0; s < kSums; ++s)
#pragma unroll
      for (int t = 0; t < kSums; ++t) {
        const float value = fma_rn(-2.0f, sums[s][t], offset[j0 + t]);
        if (value < found[s].value) found[s] = {value, static_cast<std::int32_t>(first) + j0 + t};
      }
  }
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    Candidate candidate = found[s];
    for (int step = kThreadsARow / 2; step > 0; step /= 2)
      candidate = Better{}(candidate, shuffle_xor(candidate, step));
    const std::int64_t i = row + i0 + s;
    if (j0 == 0 && i < B) {
      if (candidate.index >= 0) candidate.value += x_square[i0 + s];
      best[blockIdx.y * B + i] = candidate;
    }
  }
}

struct Split {
  std::int64_t chunks, chunk_points;
};

/// N points over enough chunks to fill the device beside `tiles` of queries, in whole tiles of points.
Split split(std::int64_t N, std::int64_t tiles, std::int64_t tile_points) {
  const std::int64_t point_tiles = (N + tile_points - 1) / tile_points;
  const std::int64_t wanted = std::clamp<std::int64_t>(kBlocksWanted / tiles, 1, point_tiles);
  const std::int64_t chunk_tiles = (point_tiles + wanted - 1) / wanted;
  return {(point_tiles + chunk_tiles - 1) / chunk_tiles, chunk_tiles * tile_points};
}

using DirectKernel = void (*)(BiasedArgmin, std::int64_t, Candidate*);

DirectKernel direct_kernel_of(std::int64_t d) {
  if (d <= 1) return direct_kernel<1>;
  if (d <= 2) return direct_kernel<2>;
  if (d <= 3) return direct_kernel<3>;
  if (d <= 7) return direct_kernel<7>;
  return direct_kernel<BiasedArgmin::kMostDirect>;
}

}  // namespace

void biased_argmin(Stream& stream, const BiasedArgmin& arguments) {
  Candidate* const best = reinterpret_cast<Candidate*>(stream.workspace());
  // As many queries at once as have room for one candidate a chunk.
  constexpr std::int64_t kMostQueries = Stream::kWorkspaceBytes / sizeof(Candidate) / kBlocksWanted / kSide * kSide;
  for (std::int64_t first = 0; first < arguments.x.rows(); first += kMostQueries) {
    BiasedArgmin a = arguments;
    const std::int64_t B = std::min(kMostQueries, a.x.rows() - first);
    a.x = a.x.row_slice(first, B);
    a.index = a.index.row_slice(first, B);
    a.value = a.value.row_slice(first, B);
    const bool direct = a.x.columns() <= BiasedArgmin::kMostDirect;
    const std::int64_t tile_rows = direct ? kThreads * kQueries : kSide, tiles = (B + tile_rows - 1) / tile_rows;
    const Split parts = split(std::max<std::int64_t>(1, a.points.rows()), tiles, direct ? kTile : kSide);
    launch(direct ? direct_kernel_of(a.x.columns()) : expanded_kernel,
           dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(parts.chunks)), direct ? kThreads : kTileThreads, 0,
           stream.cuda(), a, parts.chunk_points, best);
    launch(fold_chunks_kernel, grid_for(B, kFoldThreads), kFoldThreads, 0, stream.cuda(), best, parts.chunks, B,
           a.index.data, a.value.data);
  }
}

}  // namespace otnfm::cuda
