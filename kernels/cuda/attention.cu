// 4 B N^2 C FLOPs forward; backward 12 and a third for the sums of dy y, as both of its kernels make the logits and
// dy v again. By fused multiply-adds of float32 for both types: at 60 TFLOP/s the bound is arithmetic from N = 30 on,
// since qkv is read N / 32 times from L2 and nothing of N x N numbers is in memory. 35% of that are expected: 6 numbers
// are loaded from shared memory for 8 multiply-adds of the logits, 12 for 32 of what follows. cuDNN has no attention of
// float32, and images' N of 49 to 256 with one head or four are small for its tiles; a version by tensor cores for
// bfloat16 would be the next thing here.
//
// A block of 128 threads owns 32 rows (queries; keys in the backward's dk and dv) of an image's head and takes the
// others 32 at a time: the logits by kernels/device/row_tile.h, then each thread has its 4 rows by kFeatures / 16
// features of the product that follows. A row's softmax (online, as in Dao et al. 2022) needs shuffles alone. Heads of
// more than 128 features are cut in parts of 128, whose blocks each make the logits of all. No atomics: dq has one
// kernel, a block a tile of queries, dk and dv another, a block a tile of keys.
#include "kernels/attention.h"

#include "kernels/device/launch.h"
#include "kernels/device/math.h"
#include "kernels/device/row_tile.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

/// One of q, k, v, y, dy of an image's head: [N, D], rows `stride` apart.
template <class T>
struct HeadRows {
  T* first;
  std::int64_t stride, N, D;
};

/// Which part of the work is a block's.
struct HeadPart {
  std::int64_t image, head, first_row, first_feature;

  __device__ HeadPart(std::int64_t tiles, std::int64_t heads, int features) {
    const std::int64_t block = blockIdx.x, image_and_head = block / tiles;
    first_row = (block - image_and_head * tiles) * kTile;
    image = image_and_head / heads;
    head = image_and_head - image * heads;
    first_feature = std::int64_t{blockIdx.y} * features;
  }
};

/// q, k, v (part 0, 1, 2) of qkv [B, N, 3C], or y (the only part) of [B, N, C].
template <class T, class Numbers>
__device__ __forceinline__ HeadRows<T> rows_of(const View<Numbers>& view, const HeadPart& place, std::int64_t heads,
                                               int parts, int part) {
  const std::int64_t N = view.shape[1], width = view.shape[2], C = width / parts, D = C / heads;
  return {static_cast<T*>(view.data) + place.image * N * width + part * C + place.head * D, width, N, D};
}

/// Of the tile's rows, as many as there are.
__device__ __forceinline__ int rows_there(std::int64_t N, std::int64_t first_row) {
  return static_cast<int>(min(N - first_row, std::int64_t{kTile}));
}

/// Features [first_feature, first_feature + kSlice) of kTile rows, [kSlice, kRowStride], zeros beyond the last.
template <class T>
__device__ __forceinline__ void load_features(const HeadRows<T>& rows, std::int64_t first_row,
                                              std::int64_t first_feature, float* slice) {
  const int k = static_cast<int>(threadIdx.x) % kSlice, first = static_cast<int>(threadIdx.x) / kSlice;
  const int there = first_feature + k < rows.D ? rows_there(rows.N, first_row) : 0;
  const T* const from = rows.first + first_row * rows.stride + first_feature + k;
#pragma unroll
  for (int row = first; row < kTile; row += kTileThreads / kSlice)
    slice[k * kRowStride + row] = row < there ? static_cast<float>(from[row * rows.stride]) : 0.0f;
}

/// The same of kFeatures, [kTile, kFeatures].
template <int kFeatures, class T>
__device__ __forceinline__ void load_rows(const HeadRows<T>& rows, std::int64_t first_row, std::int64_t first_feature,
                                          float* tile) {
  static_assert(kTileThreads % kFeatures == 0);
  const int k = static_cast<int>(threadIdx.x) % kFeatures, first = static_cast<int>(threadIdx.x) / kFeatures;
  const int there = first_feature + k < rows.D ? rows_there(rows.N, first_row) : 0;
  const T* const from = rows.first + first_row * rows.stride + first_feature + k;
#pragma unroll 8
  for (int row = first; row < kTile; row += kTileThreads / kFeatures)
    tile[row * kFeatures + k] = row < there ? static_cast<float>(from[row * rows.stride]) : 0.0f;
}

/// products[r][c] = the thread's rows of a times its rows of b, over all features. Barriers before it writes.
template <class T>
__device__ __forceinline__ void multiply_tiles(const HeadRows<T>& a, std::int64_t first_a, const HeadRows<T>& b,
                                               std::int64_t first_b, float* slice_a, float* slice_b,
                                               float (&products)[kThreadRows][kThreadColumns]) {
  for (auto& row : products)
    for (float& product : row) product = 0;
  for (std::int64_t feature = 0; feature < a.D; feature += kSlice) {
    __syncthreads();
    load_features(a, first_a, feature, slice_a);
    load_features(b, first_b, feature, slice_b);
    __syncthreads();
    multiply_slices(slice_a, slice_b, products);
  }
}

/// weights [column, row] for the thread's rows and columns.
__device__ __forceinline__ void store_weights(const float (&values)[kThreadRows][kThreadColumns], float* weights) {
  for (int c = 0; c < kThreadColumns; ++c) {
    Group<float, kThreadRows> column;
    for (int r = 0; r < kThreadRows; ++r) column[r] = values[r][c];
    store_group(weights + (thread_column() + c * kThreadsARow) * kRowStride + thread_row(), column);
  }
}

/// What a thread adds up: kThreadRows rows by kFeatures / 16 features, in groups that lie side by side among its
/// neighbours.
template <int kFeatures>
struct Sums {
  static constexpr int kCount = kFeatures / kThreadsARow, kTogether = kCount < 4 ? kCount : 4;
  float values[kThreadRows][kCount] = {};

  /// Where the thread's group g is.
  __device__ static int feature(int g) { return (g * kThreadsARow + thread_column()) * kTogether; }

  /// += weights^T tile: weights [columns, rows], tile [columns, kFeatures].
  __device__ __forceinline__ void add(const float* weights, const float* tile) {
#pragma unroll 4
    for (int column = 0; column < kTile; ++column) {
      const auto weight = load_group<kThreadRows>(weights + column * kRowStride + thread_row());
      for (int g = 0; g < kCount / kTogether; ++g) {
        const auto number = load_group<kTogether>(tile + column * kFeatures + feature(g));
        for (int r = 0; r < kThreadRows; ++r)
          for (int e = 0; e < kTogether; ++e) {
            float& sum = values[r][g * kTogether + e];
            sum = fma_rn(weight[r], number[e], sum);
          }
      }
    }
  }

  /// Times a factor a row, to those rows and features that there are.
  template <class T>
  __device__ __forceinline__ void store(const HeadRows<T>& to, const HeadPart& place,
                                        const float (&factor)[kThreadRows]) {
    for (int r = 0; r < kThreadRows; ++r)
      for (int g = 0; g < kCount / kTogether; ++g)
        for (int e = 0; e < kTogether; ++e) {
          const std::int64_t i = place.first_row + thread_row() + r, at = place.first_feature + feature(g) + e;
          if (i < to.N && at < to.D) to.first[i * to.stride + at] = T(values[r][g * kTogether + e] * factor[r]);
        }
  }
};

/// Combined over the 16 threads that share rows.
template <class Combine>
__device__ __forceinline__ float reduce_row(float value, const Combine& combine) {
  for (int step = kThreadsARow / 2; step > 0; step /= 2) value = combine(value, shuffle_xor(value, step));
  return value;
}

template <class T, int kFeatures>
__global__ void __launch_bounds__(kTileThreads) forward_kernel(Attention a, std::int64_t tiles, float scale) {
  SHARED_ARRAY(float, slice_q, kSlice* kRowStride);
  SHARED_ARRAY(float, slice_k, kSlice* kRowStride);
  SHARED_ARRAY(float, weights, kTile* kRowStride);
  SHARED_ARRAY(float, values, kTile* kFeatures);
  const std::int64_t N = a.qkv.shape[1], heads = a.log_sum.shape[1];
  const HeadPart place(tiles, heads, kFeatures);
  const auto q = rows_of<const T>(a.qkv, place, heads, 3, 0), k = rows_of<const T>(a.qkv, place, heads, 3, 1);
  const auto v = rows_of<const T>(a.qkv, place, heads, 3, 2);
  float largest[kThreadRows], total[kThreadRows];
  for (int r = 0; r < kThreadRows; ++r) largest[r] = kLowest<float>, total[r] = 0;
  Sums<kFeatures> sums;
  for (std::int64_t first = 0; first < N; first += kTile) {
    float logits[kThreadRows][kThreadColumns];
    multiply_tiles(q, place.first_row, k, first, slice_q, slice_k, logits);
    load_rows<kFeatures>(v, first, place.first_feature, values);
    for (int r = 0; r < kThreadRows; ++r) {
      for (int c = 0; c < kThreadColumns; ++c) {
        const bool there = first + thread_column() + c * kThreadsARow < N;
        logits[r][c] = there ? logits[r][c] * scale : kLowest<float>;
      }
      const float above = max(largest[r], reduce_row(max(logits[r][0], logits[r][1]), Max{}));
      const float shrink = exp_of(largest[r] - above);
      for (float& logit : logits[r]) logit = exp_of(logit - above);
      total[r] = fma_rn(total[r], shrink, reduce_row(logits[r][0] + logits[r][1], Sum{}));
      for (float& sum : sums.values[r]) sum *= shrink;
      largest[r] = above;
    }
    store_weights(logits, weights);
    __syncthreads();
    sums.add(weights, values);  // multiply_tiles waits for it
  }
  float factor[kThreadRows];
  for (int r = 0; r < kThreadRows; ++r) {
    factor[r] = 1.0f / total[r];
    const std::int64_t i = place.first_row + thread_row() + r;
    if (i < N && thread_column() == 0 && place.first_feature == 0)
      a.log_sum.data[(place.image * heads + place.head) * N + i] = largest[r] + log_exact_bits(total[r]);
  }
  sums.store(rows_of<T>(a.y, place, heads, 1, 0), place, factor);
}

/// What the backward needs of 32 queries: their log_sum, and each dy . y.
template <class T>
__device__ __forceinline__ void load_queries(const AttentionBackward& a, const HeadPart& place, std::int64_t first,
                                             float* log_sums, float* dots) {
  const std::int64_t N = a.qkv.shape[1], heads = a.log_sum.shape[1];
  const auto y = rows_of<const T>(a.y, place, heads, 1, 0), dy = rows_of<const T>(a.dy, place, heads, 1, 0);
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize, lane = static_cast<int>(threadIdx.x) % kWarpSize;
  for (int row = warp; row < kTile; row += kTileThreads / kWarpSize) {
    const std::int64_t i = first + row;
    float dot = 0;
    if (i < N)
      for (std::int64_t e = lane; e < y.D; e += kWarpSize)
        dot =
            fma_rn(static_cast<float>(y.first[i * y.stride + e]), static_cast<float>(dy.first[i * dy.stride + e]), dot);
    dot = warp_sum(dot);
    if (lane != 0) continue;
    dots[row] = dot;
    log_sums[row] = i < N ? a.log_sum.data[(place.image * heads + place.head) * N + i] : 0.0f;
  }
}

template <class T, int kFeatures>
__global__ void __launch_bounds__(kTileThreads)
    backward_queries_kernel(AttentionBackward a, std::int64_t tiles, float scale) {
  SHARED_ARRAY(float, slice_row, kSlice* kRowStride);
  SHARED_ARRAY(float, slice_column, kSlice* kRowStride);
  SHARED_ARRAY(float, weights, kTile* kRowStride);
  SHARED_ARRAY(float, keys, kTile* kFeatures);
  SHARED_ARRAY(float, log_sums, kTile);
  SHARED_ARRAY(float, dots, kTile);
  const std::int64_t N = a.qkv.shape[1], heads = a.log_sum.shape[1];
  const HeadPart place(tiles, heads, kFeatures);
  const auto q = rows_of<const T>(a.qkv, place, heads, 3, 0), k = rows_of<const T>(a.qkv, place, heads, 3, 1);
  const auto v = rows_of<const T>(a.qkv, place, heads, 3, 2), dy = rows_of<const T>(a.dy, place, heads, 1, 0);
  load_queries<T>(a, place, place.first_row, log_sums, dots);  // multiply_tiles has a barrier
  Sums<kFeatures> sums;
  for (std::int64_t first = 0; first < N; first += kTile) {
    float logits[kThreadRows][kThreadColumns], slopes[kThreadRows][kThreadColumns];
    multiply_tiles(q, place.first_row, k, first, slice_row, slice_column, logits);
    multiply_tiles(dy, place.first_row, v, first, slice_row, slice_column, slopes);
    load_rows<kFeatures>(k, first, place.first_feature, keys);
    for (int r = 0; r < kThreadRows; ++r)
      for (int c = 0; c < kThreadColumns; ++c) {
        const bool there = first + thread_column() + c * kThreadsARow < N;
        const float p = exp_of(fma_rn(logits[r][c], scale, -log_sums[thread_row() + r]));
        slopes[r][c] = there ? p * (slopes[r][c] - dots[thread_row() + r]) : 0.0f;
      }
    store_weights(slopes, weights);
    __syncthreads();
    sums.add(weights, keys);
  }
  sums.store(rows_of<T>(a.dqkv, place, heads, 3, 0), place, {scale, scale, scale, scale});
}

template <class T, int kFeatures>
__global__ void __launch_bounds__(kTileThreads, 3)
    backward_keys_kernel(AttentionBackward a, std::int64_t tiles, float scale) {
  SHARED_ARRAY(float, slice_row, kSlice* kRowStride);
  SHARED_ARRAY(float, slice_column, kSlice* kRowStride);
  SHARED_ARRAY(float, weights, kTile* kRowStride);
  SHARED_ARRAY(float, queries, kTile* kFeatures);
  SHARED_ARRAY(float, log_sums, kTile);
  SHARED_ARRAY(float, dots, kTile);
  const std::int64_t N = a.qkv.shape[1], heads = a.log_sum.shape[1];
  const HeadPart place(tiles, heads, kFeatures);
  const auto q = rows_of<const T>(a.qkv, place, heads, 3, 0), k = rows_of<const T>(a.qkv, place, heads, 3, 1);
  const auto v = rows_of<const T>(a.qkv, place, heads, 3, 2), dy = rows_of<const T>(a.dy, place, heads, 1, 0);
  Sums<kFeatures> dk, dv;
  for (std::int64_t first = 0; first < N; first += kTile) {
    float logits[kThreadRows][kThreadColumns], slopes[kThreadRows][kThreadColumns];
    __syncthreads();
    load_queries<T>(a, place, first, log_sums, dots);
    multiply_tiles(k, place.first_row, q, first, slice_row, slice_column, logits);
    multiply_tiles(v, place.first_row, dy, first, slice_row, slice_column, slopes);
    load_rows<kFeatures>(dy, first, place.first_feature, queries);
    for (int r = 0; r < kThreadRows; ++r)
      for (int c = 0; c < kThreadColumns; ++c) {
        const int query = thread_column() + c * kThreadsARow;
        const float p = exp_of(fma_rn(logits[r][c], scale, -log_sums[query]));
        logits[r][c] = first + query < N ? p : 0.0f;
        slopes[r][c] = logits[r][c] * (slopes[r][c] - dots[query]);
      }
    store_weights(logits, weights);
    __syncthreads();
    dv.add(weights, queries);
    __syncthreads();
    load_rows<kFeatures>(q, first, place.first_feature, queries);
    store_weights(slopes, weights);
    __syncthreads();
    dk.add(weights, queries);
  }
  dk.store(rows_of<T>(a.dqkv, place, heads, 3, 1), place, {scale, scale, scale, scale});
  dv.store(rows_of<T>(a.dqkv, place, heads, 3, 2), place, {1.0f, 1.0f, 1.0f, 1.0f});
}

/// body.operator()<T, kFeatures>(tiles, grid, 1 / sqrt(D)), or nothing where there are no numbers.
template <class Body>
void with_heads(const View<const Stored>& qkv, std::int64_t heads, const Body& body) {
  if (qkv.empty()) return;
  const std::int64_t D = qkv.shape[2] / 3 / heads, tiles = (qkv.shape[1] + kTile - 1) / kTile;
  const std::int64_t blocks = qkv.shape[0] * heads * tiles;
  if (blocks > std::numeric_limits<std::int32_t>::max()) throw InputError("too many images times heads for one call");
  const float scale = 1.0f / std::sqrt(static_cast<float>(D));
  const auto grid = [&](std::int64_t features) {
    return dim3(static_cast<unsigned>(blocks), static_cast<unsigned>((D + features - 1) / features));
  };
  with_stored_type(qkv.dtype, [&]<class T>() {
    if (D <= 32)
      body.template operator()<T, 32>(tiles, grid(32), scale);
    else if (D <= 64)
      body.template operator()<T, 64>(tiles, grid(64), scale);
    else
      body.template operator()<T, 128>(tiles, grid(128), scale);
  });
}

}  // namespace

void attention(Stream& stream, const Attention& a) {
  with_heads(a.qkv, a.log_sum.shape[1], [&]<class T, int kFeatures>(std::int64_t tiles, dim3 grid, float scale) {
    launch(forward_kernel<T, kFeatures>, grid, kTileThreads, 0, stream.cuda(), a, tiles, scale);
  });
}

void attention_backward(Stream& stream, const AttentionBackward& a) {
  with_heads(a.qkv, a.log_sum.shape[1], [&]<class T, int kFeatures>(std::int64_t tiles, dim3 grid, float scale) {
    launch(backward_queries_kernel<T, kFeatures>, grid, kTileThreads, 0, stream.cuda(), a, tiles, scale);
    launch(backward_keys_kernel<T, kFeatures>, grid, kTileThreads, 0, stream.cuda(), a, tiles, scale);
  });
}

}  // namespace otnfm::cuda
