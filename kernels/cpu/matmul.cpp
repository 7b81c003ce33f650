// 2 M N K FLOPs: bound by the processor's fused multiply-adds where M, N, K are a few dozen or more. oneDNN multiplies;
// what it does not do, or not exactly, is done here: k = 0, activations that it lacks, and bfloat16 on processors
// without it (in blocks that are converted to float32).
#include "kernels/matmul.h"

#include <algorithm>
#include <utility>

#include "kernels/bias_activation.h"
#include "kernels/cpu/library/onednn.h"
#include "kernels/cpu/parallel.h"

namespace otnfm::cpu {
namespace {

/// c = activation(c + bias), product by product.
void finish(Stream& stream, const Gemm& g, const View<float>& c, const View<const float>& bias, Activation activation) {
  if (bias.data == nullptr && activation == Activation::identity) return;
  for (std::int64_t i = 0; i < g.batch; ++i) {
    const View<float> rows = product_of(c, g, i);
    cpu::bias_activation(stream, {.z = rows, .bias = bias, .y = rows, .activation = activation});
  }
}

/// c = beta c
void scale(const Gemm& g, const View<float>& c) {
  for (std::int64_t i = 0; i < g.batch; ++i) {
    const View<float> product = product_of(c, g, i);
    parallel_rows(g.m, g.n, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        float* values = product.row(row);
        if (g.beta == 0)
          std::fill(values, values + g.n, 0.0f);
        else
          for (std::int64_t j = 0; j < g.n; ++j) values[j] *= g.beta;
      }
    });
  }
}

void multiply(Stream& stream, Gemm g, const void* a, const void* b, const View<const float>& bias,
              const View<float>& c) {
  if (g.k == 0) {
    scale(g, c);
    return finish(stream, g, c, bias, g.activation);
  }
  if (onednn::fuses(g.activation)) return onednn::gemm(stream, g, a, b, bias.data, c.data);
  const Activation activation = std::exchange(g.activation, Activation::identity);
  g.bias = false;
  onednn::gemm(stream, g, a, b, nullptr, c.data);
  finish(stream, g, c, bias, activation);
}

/// Rows [row, row + rows) x columns [column, column + columns) of a stored bfloat16 matrix, as dense float32.
void convert_block(const bfloat16* from, std::int64_t row_stride, std::int64_t row, std::int64_t rows,
                   std::int64_t column, std::int64_t columns, float* to) {
  parallel_rows(rows, columns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const bfloat16* values = from + (row + i) * row_stride + column;
      for (std::int64_t j = 0; j < columns; ++j) to[i * columns + j] = static_cast<float>(values[j]);
    }
  });
}

// Blocks of at most 1024 x 1024 of each operand are converted behind the library's part of the workspace.
constexpr std::int64_t kBlock = 1024;
static_assert(onednn::kScratchBytes + 2 * kBlock * kBlock * sizeof(float) <= Stream::kWorkspaceBytes);

/// One product of g by float32 products of blocks: block (i, j) of c = beta c + sum over the blocks of k.
void multiply_converted(Stream& stream, const Gemm& g, const bfloat16* a, const bfloat16* b, const View<float>& c) {
  float* const block_a = reinterpret_cast<float*>(stream.workspace() + onednn::kScratchBytes);
  float* const block_b = block_a + kBlock * kBlock;
  for (std::int64_t j = 0; j < g.n; j += kBlock)
    for (std::int64_t k = 0; k < g.k; k += kBlock) {
      const std::int64_t columns = std::min(kBlock, g.n - j), depth = std::min(kBlock, g.k - k);
      if (g.transpose_b)
        convert_block(b, g.row_stride_b, j, columns, k, depth, block_b);
      else
        convert_block(b, g.row_stride_b, k, depth, j, columns, block_b);
      for (std::int64_t i = 0; i < g.m; i += kBlock) {
        const std::int64_t rows = std::min(kBlock, g.m - i);
        if (g.transpose_a)
          convert_block(a, g.row_stride_a, k, depth, i, rows, block_a);
        else
          convert_block(a, g.row_stride_a, i, rows, k, depth, block_a);
        const Gemm block{.transpose_a = g.transpose_a,
                         .transpose_b = g.transpose_b,
                         .beta = k == 0 ? g.beta : 1.0f,
                         .m = rows,
                         .n = columns,
                         .k = depth,
                         .row_stride_a = g.transpose_a ? rows : depth,
                         .row_stride_b = g.transpose_b ? depth : columns,
                         .row_stride_c = g.row_stride_c};
        onednn::gemm(stream, block, block_a, block_b, nullptr, c.row(i) + j);
      }
    }
}

}  // namespace

void matmul(Stream& stream, const Matmul& a) {
  if (a.c.empty()) return;
  multiply(stream, gemm_of(a), a.a.data, a.b.data, a.bias, a.c);
}

void matmul_bfloat16(Stream& stream, const MatmulBfloat16& a) {
  if (a.c.empty()) return;
  const Gemm g = gemm_of(a);
  if (g.k == 0 || onednn::has_bfloat16()) return multiply(stream, g, a.a.data, a.b.data, a.bias, a.c);
  for (std::int64_t i = 0; i < g.batch; ++i)
    multiply_converted(stream, g, a.a.data + i * g.batch_stride_a, a.b.data + i * g.batch_stride_b,
                       product_of(a.c, g, i));
  finish(stream, g, a.c, a.bias, a.activation);
}

}  // namespace otnfm::cpu
