// 18 B H' W' C O FLOPs of a 3x3 convolution: a matter for cuDNN (kernels/cuda/library/cudnn.h), which forward adds bias
// and `added` in the same kernel. dbias is the column sums of dy, in a pass of its own: 4 bytes a number (2).
// What cuDNN leaves has kernels here: operands that do not start at a multiple of 16 bytes, sizes of 0, and what it has
// no engine for (gradients of weights of few or odd channels in bfloat16). They are products of 32 x 32 tiles whose
// operands are gathered from the images, in float32 arithmetic; the index arithmetic of gathering, some 80 operations a
// number that is used in 32 products, bounds them to some 2 TFLOP/s. The gradient of the weights, a sum over all pixels
// of all images, is cut into chunks of pixels, which are added up in order by a second launch.
#include "kernels/conv2d.h"

#include "kernels/cuda/library/cudnn.h"
#include "kernels/device/column_fold.h"
#include "kernels/device/elements.h"
#include "kernels/device/row_tile.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

using cudnn::Convolution;
using cudnn::Kind;

/// Chunks of pixels that the gradient of the weights is cut into: blocks enough for the device, each of some work.
constexpr std::int64_t kWeightBlocks = 4 * 132, kLeastPixels = 128;

/// Sizes of a convolution, for device code.
struct Geometry {
  std::int64_t B, H, W, C, O, k, stride, rows, columns;
  std::int64_t pixels() const { return B * H * W; }
  std::int64_t results() const { return B * rows * columns; }
};

Geometry geometry_of(const Convolution& n) {
  return {n.B, n.H, n.W, n.C, n.O, n.k, n.stride, n.rows(), n.columns()};
}

struct Place {
  std::int64_t image, row, column;
};

__device__ __forceinline__ Place place_of(std::int64_t pixel, std::int64_t rows, std::int64_t columns) {
  std::int64_t line, column, image, row;
  divide(pixel, columns, line, column);
  divide(line, rows, image, row);
  return {image, row, column};
}

/// x where tap (u, v) of the kernel meets it in the result's pixel p, channel c; 0 beyond the image.
template <class T>
__device__ __forceinline__ float image_at(const T* x, const Geometry& n, std::int64_t p, std::int64_t tap,
                                          std::int64_t c) {
  const Place at = place_of(p, n.rows, n.columns);
  const std::int64_t u = tap / n.k, i = at.row * n.stride + u - n.k / 2;
  const std::int64_t j = at.column * n.stride + (tap - u * n.k) - n.k / 2;
  if (i < 0 || i >= n.H || j < 0 || j >= n.W) return 0.0f;
  return static_cast<float>(x[((at.image * n.H + i) * n.W + j) * n.C + c]);
}

/// dy of the result that tap (u, v) made from the image's pixel p, channel o; 0 where there is none.
template <class T>
__device__ __forceinline__ float result_at(const T* dy, const Geometry& n, std::int64_t p, std::int64_t tap,
                                           std::int64_t o) {
  const Place at = place_of(p, n.H, n.W);
  const std::int64_t u = tap / n.k, i = at.row + n.k / 2 - u, j = at.column + n.k / 2 - (tap - u * n.k);
  if (i < 0 || j < 0 || i % n.stride != 0 || j % n.stride != 0) return 0.0f;
  const std::int64_t row = i / n.stride, column = j / n.stride;
  if (row >= n.rows || column >= n.columns) return 0.0f;
  return static_cast<float>(dy[((at.image * n.rows + row) * n.columns + column) * n.O + o]);
}

/// store(row, column, sum over k in [begin, end) of a(row, k) b(column, k)) for the block's tile of rows x columns.
template <class A, class B, class Store>
__device__ __forceinline__ void multiply_tile(std::int64_t tile, std::int64_t rows, std::int64_t columns,
                                              std::int64_t begin, std::int64_t end, const A& a, const B& b,
                                              const Store& store) {
  SHARED_ARRAY(float, slice_a, kSlice* kRowStride);
  SHARED_ARRAY(float, slice_b, kSlice* kRowStride);
  const std::int64_t column_tiles = (columns + kTile - 1) / kTile;
  const std::int64_t first_row = tile / column_tiles * kTile, first_column = tile % column_tiles * kTile;
  float products[kThreadRows][kThreadColumns] = {};
  for (std::int64_t first = begin; first < end; first += kSlice) {
    const int k = static_cast<int>(threadIdx.x) % kSlice;
    __syncthreads();
    for (int row = static_cast<int>(threadIdx.x) / kSlice; row < kTile; row += kTileThreads / kSlice) {
      const bool there = first + k < end;
      slice_a[k * kRowStride + row] = there && first_row + row < rows ? a(first_row + row, first + k) : 0.0f;
      slice_b[k * kRowStride + row] = there && first_column + row < columns ? b(first_column + row, first + k) : 0.0f;
    }
    __syncthreads();
    multiply_slices(slice_a, slice_b, products);
  }
  for (int r = 0; r < kThreadRows; ++r)
    for (int c = 0; c < kThreadColumns; ++c) {
      const std::int64_t row = first_row + thread_row() + r, column = first_column + thread_column() + c * kThreadsARow;
      if (row < rows && column < columns) store(row, column, products[r][c]);
    }
}

std::int64_t tiles_of(std::int64_t rows, std::int64_t columns) {
  return (rows + kTile - 1) / kTile * ((columns + kTile - 1) / kTile);
}

template <class T, class R>
__global__ void __launch_bounds__(kTileThreads)
    forward_kernel(const T* x, const T* weight, const float* bias, const R* added, R* y, Geometry n) {
  const std::int64_t terms = n.k * n.k * n.C;
  multiply_tile(
      blockIdx.x, n.B * n.rows * n.columns, n.O, 0, terms,
      [&](std::int64_t p, std::int64_t term) {
        std::int64_t tap, c;
        divide(term, n.C, tap, c);
        return image_at(x, n, p, tap, c);
      },
      [&](std::int64_t o, std::int64_t term) { return static_cast<float>(weight[o * terms + term]); },
      [&](std::int64_t p, std::int64_t o, float sum) {
        if (bias != nullptr) sum += bias[o];
        if (added != nullptr) sum += static_cast<float>(added[p * n.O + o]);
        y[p * n.O + o] = R(sum);
      });
}

template <class T>
__global__ void __launch_bounds__(kTileThreads) backward_data_kernel(const T* dy, const T* weight, T* dx, Geometry n) {
  const std::int64_t taps = n.k * n.k;
  multiply_tile(
      blockIdx.x, n.B * n.H * n.W, n.C, 0, taps * n.O,
      [&](std::int64_t p, std::int64_t term) {
        std::int64_t tap, o;
        divide(term, n.O, tap, o);
        return result_at(dy, n, p, tap, o);
      },
      [&](std::int64_t c, std::int64_t term) {
        std::int64_t tap, o;
        divide(term, n.O, tap, o);
        return static_cast<float>(weight[(o * taps + tap) * n.C + c]);
      },
      [&](std::int64_t p, std::int64_t c, float sum) { dx[p * n.C + c] = T(sum); });
}

/// sums [chunks, O, k, k, C], chunks of chunk_pixels.
template <class T>
__global__ void __launch_bounds__(kTileThreads)
    backward_weight_kernel(const T* x, const T* dy, float* sums, std::int64_t tiles, std::int64_t chunk_pixels,
                           Geometry n) {
  const std::int64_t chunk = blockIdx.x / tiles, tile = blockIdx.x - chunk * tiles, terms = n.k * n.k * n.C;
  const std::int64_t begin = chunk * chunk_pixels;
  const std::int64_t end = min(begin + chunk_pixels, n.B * n.rows * n.columns);
  multiply_tile(
      tile, n.O, terms, begin, end, [&](std::int64_t o, std::int64_t p) { return static_cast<float>(dy[p * n.O + o]); },
      [&](std::int64_t term, std::int64_t p) {
        std::int64_t tap, c;
        divide(term, n.C, tap, c);
        return image_at(x, n, p, tap, c);
      },
      [&](std::int64_t o, std::int64_t term, float sum) { sums[(chunk * n.O + o) * terms + term] = sum; });
}

template <class T>
__global__ void sum_pixels_kernel(const T* dy, std::int64_t pixels, std::int64_t O, ColumnChunks chunks, float* sums) {
  const std::int64_t strip = blockIdx.x % chunks.strips, chunk = blockIdx.x / chunks.strips;
  const std::int64_t begin = chunk * chunks.chunk_rows, end = min(begin + chunks.chunk_rows, pixels);
  fold_strip(
      strip, begin, end, O, 0.0f, Sum{},
      [&](std::int64_t p, std::int64_t o) { return static_cast<float>(dy[p * O + o]); },
      [&](std::int64_t o, float sum) { sums[chunk * O + o] = sum; });
}

void fold_chunks(Stream& stream, const float* sums, std::int64_t chunks, std::int64_t size, float* result) {
  launch(fold_chunks_kernel<Sum>, (size + kFoldColumns - 1) / kFoldColumns, kFoldThreads, 0, stream.cuda(), sums,
         chunks, size, 0.0f, Sum{}, 1.0f, result);
}

template <class T>
void own_backward_weight(Stream& stream, const T* x, const T* dy, float* dweight, const Geometry& n) {
  const std::int64_t size = n.O * n.k * n.k * n.C, tiles = tiles_of(n.O, n.k * n.k * n.C);
  const std::int64_t capacity = static_cast<std::int64_t>(Stream::kWorkspaceBytes / sizeof(float)) / size;
  const std::int64_t most =
      std::min({capacity, kWeightBlocks / tiles, (n.results() + kLeastPixels - 1) / kLeastPixels});
  const std::int64_t wanted = std::max<std::int64_t>(1, most);
  const std::int64_t chunk_pixels = std::max<std::int64_t>(1, (n.results() + wanted - 1) / wanted);
  const std::int64_t chunks = std::max<std::int64_t>(1, (n.results() + chunk_pixels - 1) / chunk_pixels);
  float* const sums = chunks == 1 ? dweight : reinterpret_cast<float*>(stream.workspace());
  launch(backward_weight_kernel<T>, tiles * chunks, kTileThreads, 0, stream.cuda(), x, dy, sums, tiles, chunk_pixels,
         n);
  if (chunks > 1) fold_chunks(stream, sums, chunks, size, dweight);
}

Convolution convolution_of(Kind kind, const Extents& image, const Extents& weight, std::int64_t stride) {
  Convolution n;
  n.kind = kind;
  n.B = image.shape[0], n.H = image.shape[1], n.W = image.shape[2], n.C = image.shape[3];
  n.O = weight.shape[0], n.k = weight.shape[1], n.stride = stride;
  return n;
}

/// Whether the library did it.
bool by_library(Stream& stream, const Convolution& n, const cudnn::Operands& operands) {
  if (std::min({n.B, n.H, n.W, n.C, n.O}) < 1) return false;
  for (const void* pointer : {operands.image, operands.weight, operands.result, operands.bias, operands.added})
    if (!aligned16(pointer)) return false;
  return cudnn::convolve(stream, n, operands);
}

}  // namespace

void conv2d(Stream& stream, const Conv2d& a) {
  if (a.y.empty()) return;
  Convolution n = convolution_of(Kind::forward, a.x, a.weight, a.stride);
  n.dtype = a.x.dtype, n.result_dtype = a.y.dtype;
  n.bias = a.bias.data != nullptr, n.added = a.added.data != nullptr;
  if (by_library(
          stream, n,
          {.image = a.x.data, .weight = a.weight.data, .result = a.y.data, .bias = a.bias.data, .added = a.added.data}))
    return;
  const Geometry g = geometry_of(n);
  with_stored_type(a.x.dtype, [&]<class T>() {
    with_stored_type(a.y.dtype, [&]<class R>() {
      launch(forward_kernel<T, R>, tiles_of(g.results(), g.O), kTileThreads, 0, stream.cuda(), a.x.as<T>().data,
             a.weight.as<T>().data, a.bias.data, a.added.as<R>().data, a.y.as<R>().data, g);
    });
  });
}

void conv2d_backward_data(Stream& stream, const Conv2dBackwardData& a) {
  if (a.dx.empty()) return;
  Convolution n = convolution_of(Kind::backward_data, a.dx, a.weight, a.stride);
  n.dtype = n.result_dtype = a.dx.dtype;
  if (by_library(stream, n, {.image = a.dx.data, .weight = a.weight.data, .result = a.dy.data})) return;
  const Geometry g = geometry_of(n);
  with_stored_type(a.dx.dtype, [&]<class T>() {
    launch(backward_data_kernel<T>, tiles_of(g.pixels(), g.C), kTileThreads, 0, stream.cuda(), a.dy.as<T>().data,
           a.weight.as<T>().data, a.dx.as<T>().data, g);
  });
}

void conv2d_backward_weight(Stream& stream, const Conv2dBackwardWeight& a) {
  Convolution n = convolution_of(Kind::backward_weight, a.x, a.dweight, a.stride);
  n.dtype = a.x.dtype;
  const Geometry g = geometry_of(n);
  const bool done =
      a.dweight.empty() || by_library(stream, n, {.image = a.x.data, .weight = a.dweight.data, .result = a.dy.data});
  with_stored_type(a.x.dtype, [&]<class T>() {
    const T* const dy = a.dy.as<T>().data;
    if (!done) own_backward_weight(stream, a.x.as<T>().data, dy, a.dweight.data, g);
    if (a.dbias.data == nullptr) return;
    const ColumnChunks chunks = column_chunks(g.results(), g.O);
    float* const sums = chunks.chunks == 1 ? a.dbias.data : reinterpret_cast<float*>(stream.workspace());
    launch(sum_pixels_kernel<T>, chunks.blocks(), kFoldThreads, 0, stream.cuda(), dy, g.results(), g.O, chunks, sums);
    if (chunks.chunks > 1) fold_chunks(stream, sums, chunks.chunks, g.O, a.dbias.data);
  });
}

}  // namespace otnfm::cuda
