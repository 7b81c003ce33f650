// 2 M N K FLOPs: bound by the processor's fused multiply-adds where M, N, K are a few dozen or more. oneDNN multiplies;
// what it does not do, or not exactly, is done here: k = 0, activations that it lacks, and bfloat16 on processors
// without it (in blocks that are converted to float32).
#include "kernels/matmul.h"

#include <algorithm>
#include <utility>

#include "kernels/bias_activation.h"
#include "kernels/cpu/library/onednn.h"
#include "kernels/host/parallel.h"
#include "kernels/host/simd.h"

namespace otnfm::cpu {
namespace {

/// c = activation(c + bias), product by product.
void finish(Stream& stream, const Gemm& g, const View<Stored>& c, const View<const float>& bias,
            Activation activation) {
  if (bias.data == nullptr && activation == Activation::identity) return;
  for (std::int64_t i = 0; i < g.batch; ++i) {
    const View<Stored> rows = product_of(c, g, i);
    cpu::bias_activation(stream, {.z = rows, .bias = bias, .y = rows, .activation = activation});
  }
}

/// c = beta c
void scale(const Gemm& g, const View<Stored>& c) {
  for (std::int64_t i = 0; i < g.batch; ++i)
    with_stored_type(c.dtype, [&]<class T>() {
      const View<T> product = product_of(c, g, i).as<T>();
      host::parallel_rows(g.m, g.n, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          T* values = product.row(row);
          if (g.beta == 0)
            std::fill(values, values + g.n, T(0.0f));
          else
            for (std::int64_t j = 0; j < g.n; ++j) values[j] = T(static_cast<float>(values[j]) * g.beta);
        }
      });
    });
}

// Products with at most 8 columns (those of a 2-D flow with its data, and their gradients) are our own: the library
// pads the columns to a whole vector and takes 3 to 5 us for 256x3x64, on two threads, where this takes a third of it
// on one.
constexpr std::int64_t kNarrow = 8, kMostNarrowWork = 1 << 20;

bool is_narrow(const Gemm& g) {
  return g.dtype == DType::float32 && g.batch == 1 && g.n <= kNarrow && g.m >= kNarrow &&
         g.m * g.n * g.k <= kMostNarrowWork;
}

using host::all, host::Floats, host::kFloats, host::load, host::load_some, host::multiply_add;

/// Adds the upper half of each group of 2 * half lanes to the lower; those of a, then those of b.
template <int half, int... lane>
Floats fold(Floats a, Floats b, std::integer_sequence<int, lane...>) {
  constexpr int k = kFloats / 2;
  return __builtin_shufflevector(a, b, (lane / k * kFloats + lane % k / half * 2 * half + lane % half)...) +
         __builtin_shufflevector(a, b, (lane / k * kFloats + lane % k / half * 2 * half + lane % half + half)...);
}

/// The sums of the lanes of as many vectors; 45 instructions of AVX-512, where one at a time takes 128.
template <int half = kFloats / 2>
Floats sums_of(const Floats* v) {
  constexpr std::make_integer_sequence<int, kFloats> lanes;
  if constexpr (half == 1)
    return fold<half>(v[0], v[1], lanes);
  else {
    Floats folded[half];
    for (int i = 0; i < half; ++i) folded[i] = fold<half>(v[2 * i], v[2 * i + 1], lanes);
    return sums_of<half / 2>(folded);
  }
}

void put(float& to, float beta, float value) {
  to = beta == 0 ? value : fma_rn(beta, to, value);
}

/// Rows of a are contiguous: the elements of a column of c are dot products of kFloats of them with a row of `b`, [n,
/// k].
void narrow_dots(const Gemm& g, const float* a, const float* b, std::int64_t row_stride_b, float* c) {
  for (std::int64_t i = 0; i < g.m; i += kFloats) {
    const std::int64_t rows = std::min<std::int64_t>(kFloats, g.m - i);
    const float* row[kFloats];
    for (std::int64_t r = 0; r < kFloats; ++r) row[r] = a + (i + std::min(r, rows - 1)) * g.row_stride_a;
    for (std::int64_t j = 0; j < g.n; ++j) {
      Floats products[kFloats] = {};
      std::int64_t k = 0;
      for (; k + kFloats <= g.k; k += kFloats) {
        const Floats values = load<Floats>(b + j * row_stride_b + k);
#pragma GCC unroll 16
        for (int r = 0; r < kFloats; ++r) products[r] = multiply_add(load<Floats>(row[r] + k), values, products[r]);
      }
      if (k < g.k) {
        const Floats values = load_some<Floats>(b + j * row_stride_b + k, g.k - k);
        for (int r = 0; r < kFloats; ++r)
          products[r] = multiply_add(load_some<Floats>(row[r] + k, g.k - k), values, products[r]);
      }
      const Floats sums = sums_of(products);
      for (std::int64_t r = 0; r < rows; ++r) put(c[(i + r) * g.row_stride_c + j], g.beta, sums[r]);
    }
  }
}

/// Columns of op(a) are contiguous: 2 kFloats rows of c at a time, in registers, as a sum of multiples of the columns.
template <int n = 1>
void narrow_sums(const Gemm& g, const float* a, const float* b, std::int64_t step_k, std::int64_t step_j, float* c) {
  if constexpr (n < kNarrow)
    if (g.n > n) return narrow_sums<n + 1>(g, a, b, step_k, step_j, c);
  for (std::int64_t i = 0; i < g.m; i += 2 * kFloats) {
    const std::int64_t rows = std::min<std::int64_t>(2 * kFloats, g.m - i);
    const std::int64_t low = std::min<std::int64_t>(rows, kFloats), high = rows - low;
    Floats sums[n][2] = {};
    const auto add = [&](std::int64_t k, Floats low_rows, Floats high_rows) {
#pragma GCC unroll 8
      for (int j = 0; j < n; ++j) {
        const Floats factor = all<Floats>(b[k * step_k + j * step_j]);
        sums[j][0] = multiply_add(factor, low_rows, sums[j][0]);
        sums[j][1] = multiply_add(factor, high_rows, sums[j][1]);
      }
    };
    const float* column = a + i;
    if (high == kFloats)
      for (std::int64_t k = 0; k < g.k; ++k, column += g.row_stride_a)
        add(k, load<Floats>(column), load<Floats>(column + kFloats));
    else
      for (std::int64_t k = 0; k < g.k; ++k, column += g.row_stride_a)
        add(k, load_some<Floats>(column, low), load_some<Floats>(column + low, high));
    for (std::int64_t r = 0; r < rows; ++r)
      for (int j = 0; j < n; ++j) put(c[(i + r) * g.row_stride_c + j], g.beta, sums[j][r / kFloats][r % kFloats]);
  }
}

void multiply_narrow(Stream& stream, const Gemm& g, const float* a, const float* b, float* c) {
  if (g.transpose_a)
    return narrow_sums(g, a, b, g.transpose_b ? 1 : g.row_stride_b, g.transpose_b ? g.row_stride_b : 1, c);
  if (g.transpose_b) return narrow_dots(g, a, b, g.row_stride_b, c);
  float* const rows_of_b = reinterpret_cast<float*>(stream.workspace());
  for (std::int64_t k = 0; k < g.k; ++k)
    for (std::int64_t j = 0; j < g.n; ++j) rows_of_b[j * g.k + k] = b[k * g.row_stride_b + j];
  narrow_dots(g, a, rows_of_b, g.k, c);
}

void multiply(Stream& stream, Gemm g, const void* a, const void* b, const View<const float>& bias,
              const View<Stored>& c) {
  if (g.k == 0) {
    scale(g, c);
    return finish(stream, g, c, bias, g.activation);
  }
  if (is_narrow(g)) {
    multiply_narrow(stream, g, static_cast<const float*>(a), static_cast<const float*>(b), static_cast<float*>(c.data));
    return finish(stream, g, c, bias, g.activation);
  }
  if (onednn::fuses(g.activation)) return onednn::gemm(stream.workspace(), g, a, b, bias.data, c.data);
  const Activation activation = std::exchange(g.activation, Activation::identity);
  g.bias = false;
  onednn::gemm(stream.workspace(), g, a, b, nullptr, c.data);
  finish(stream, g, c, bias, activation);
}

/// Rows [row, row + rows) x columns [column, column + columns) of a stored bfloat16 matrix, as dense float32.
void convert_block(const bfloat16* from, std::int64_t row_stride, std::int64_t row, std::int64_t rows,
                   std::int64_t column, std::int64_t columns, float* to) {
  host::parallel_rows(rows, columns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const bfloat16* values = from + (row + i) * row_stride + column;
      for (std::int64_t j = 0; j < columns; ++j) to[i * columns + j] = static_cast<float>(values[j]);
    }
  });
}

/// A dense float32 block, rounded into rows of c.
void round_block(const float* from, std::int64_t rows, std::int64_t columns, bfloat16* to, std::int64_t row_stride) {
  host::parallel_rows(rows, columns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t j = 0; j < columns; ++j) to[i * row_stride + j] = bfloat16(from[i * columns + j]);
  });
}

// Blocks of each operand, and of a result that is to be rounded, are converted behind the library's part of the
// workspace.
constexpr std::int64_t kConvertedFloats =
    static_cast<std::int64_t>((Stream::kWorkspaceBytes - onednn::kScratchBytes) / sizeof(float));
constexpr std::int64_t kBlock = 1024, kBlockOfThree = 832;
static_assert(2 * kBlock * kBlock <= kConvertedFloats && 3 * kBlockOfThree * kBlockOfThree <= kConvertedFloats);

/// One product of g by float32 products of blocks: block (i, j) of c = beta c + sum over the blocks of k.
void multiply_converted(Stream& stream, const Gemm& g, const bfloat16* a, const bfloat16* b, const View<Stored>& c) {
  const bool rounds = c.dtype == DType::bfloat16;
  const std::int64_t block = rounds ? kBlockOfThree : kBlock;
  float* const block_a = reinterpret_cast<float*>(stream.workspace() + onednn::kScratchBytes);
  float *const block_b = block_a + block * block, *const block_c = block_b + block * block;
  const auto load_a = [&](std::int64_t i, std::int64_t rows, std::int64_t k, std::int64_t depth) {
    if (g.transpose_a)
      convert_block(a, g.row_stride_a, k, depth, i, rows, block_a);
    else
      convert_block(a, g.row_stride_a, i, rows, k, depth, block_a);
  };
  const auto load_b = [&](std::int64_t j, std::int64_t columns, std::int64_t k, std::int64_t depth) {
    if (g.transpose_b)
      convert_block(b, g.row_stride_b, j, columns, k, depth, block_b);
    else
      convert_block(b, g.row_stride_b, k, depth, j, columns, block_b);
  };
  const auto multiply_blocks = [&](std::int64_t rows, std::int64_t columns, std::int64_t depth, float beta, float* to,
                                   std::int64_t row_stride) {
    const Gemm part{.transpose_a = g.transpose_a,
                    .transpose_b = g.transpose_b,
                    .beta = beta,
                    .m = rows,
                    .n = columns,
                    .k = depth,
                    .row_stride_a = g.transpose_a ? rows : depth,
                    .row_stride_b = g.transpose_b ? depth : columns,
                    .row_stride_c = row_stride};
    onednn::gemm(stream.workspace(), part, block_a, block_b, nullptr, to);
  };
  const auto part_of = [&](std::int64_t begin, std::int64_t length) { return std::min(block, length - begin); };
  if (!rounds) {
    const View<float> floats = c.as<float>();
    for (std::int64_t j = 0; j < g.n; j += block)
      for (std::int64_t k = 0; k < g.k; k += block) {
        load_b(j, part_of(j, g.n), k, part_of(k, g.k));
        for (std::int64_t i = 0; i < g.m; i += block) {
          load_a(i, part_of(i, g.m), k, part_of(k, g.k));
          multiply_blocks(part_of(i, g.m), part_of(j, g.n), part_of(k, g.k), k == 0 ? g.beta : 1.0f, floats.row(i) + j,
                          g.row_stride_c);
        }
      }
    return;
  }
  // Each block of c is added up in float32 and rounded once.
  const View<bfloat16> rounded = c.as<bfloat16>();
  for (std::int64_t j = 0; j < g.n; j += block)
    for (std::int64_t i = 0; i < g.m; i += block) {
      const std::int64_t rows = part_of(i, g.m), columns = part_of(j, g.n);
      if (g.beta != 0) convert_block(rounded.data, g.row_stride_c, i, rows, j, columns, block_c);
      for (std::int64_t k = 0; k < g.k; k += block) {
        const std::int64_t depth = part_of(k, g.k);
        load_b(j, columns, k, depth);
        load_a(i, rows, k, depth);
        multiply_blocks(rows, columns, depth, k == 0 ? g.beta : 1.0f, block_c, columns);
      }
      round_block(block_c, rows, columns, rounded.row(i) + j, g.row_stride_c);
    }
}

}  // namespace

void matmul(Stream& stream, const Matmul& a) {
  if (a.c.empty()) return;
  const Gemm g = gemm_of(a);
  if (g.dtype == DType::float32 || g.k == 0 || onednn::has_bfloat16())
    return multiply(stream, g, a.a.data, a.b.data, a.bias, a.c);
  const View<const bfloat16> left = a.a.as<bfloat16>(), right = a.b.as<bfloat16>();
  for (std::int64_t i = 0; i < g.batch; ++i)
    multiply_converted(stream, g, left.data + i * g.batch_stride_a, right.data + i * g.batch_stride_b,
                       product_of(a.c, g, i));
  finish(stream, g, a.c, a.bias, a.activation);
}

}  // namespace otnfm::cpu
