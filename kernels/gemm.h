// A matrix product as the libraries take it: what matmul.h's ops become after their checks, and the key under which a
// backend keeps what it prepared for a shape. Everything is row-major.
#pragma once

#include <algorithm>
#include <string>

#include "kernels/matmul.h"

namespace otnfm {

/// c = activation(op(a) op(b) + beta c + bias) for each of `batch` products; c [m, n], op(a) [m, k], op(b) [k, n].
struct Gemm {
  DType dtype = DType::float32;         ///< of a and b (float32, bfloat16)
  DType result_dtype = DType::float32;  ///< of c; bias is float32
  bool transpose_a = false, transpose_b = false;
  bool bias = false;
  bool tf32 = false;
  Activation activation = Activation::identity;
  float beta = 0;
  std::int64_t batch = 1, m = 0, n = 0, k = 0;
  std::int64_t row_stride_a = 0, row_stride_b = 0, row_stride_c = 0;        ///< as stored
  std::int64_t batch_stride_a = 0, batch_stride_b = 0, batch_stride_c = 0;  ///< 0 where batch is 1

  bool operator==(const Gemm&) const = default;

  std::size_t hash() const {
    std::uint64_t h = static_cast<std::uint64_t>(dtype) << 16 ^ static_cast<std::uint64_t>(result_dtype) << 24 ^
                      static_cast<std::uint64_t>(activation) << 8 ^ std::uint64_t{transpose_a} << 3 ^
                      std::uint64_t{transpose_b} << 2 ^ std::uint64_t{bias} << 1 ^ std::uint64_t{tf32};
    for (std::int64_t word : {static_cast<std::int64_t>(bits_of(beta)), batch, m, n, k, row_stride_a, row_stride_b,
                              row_stride_c, batch_stride_a, batch_stride_b, batch_stride_c})
      h = (h ^ static_cast<std::uint64_t>(word)) * 0x9e3779b97f4a7c15u, h ^= h >> 32;
    return static_cast<std::size_t>(h);
  }
};

/// "512x785x256 float32 TN", for messages.
std::string describe(const Gemm& g);

/// The product that a Matmul, once checked, asks for.
inline Gemm gemm_of(const Matmul& a) {
  // The row stride of a single row, or of none, says nothing: it is replaced by the smallest that libraries accept.
  const auto row_stride = [](const Extents& v) {
    const std::int64_t rows = v.shape[v.rank - 2], columns = v.shape[v.rank - 1];
    return rows > 1 ? v.stride[v.rank - 2] : std::max<std::int64_t>(columns, 1);
  };
  const auto batch_stride = [](const Extents& v) { return v.rank == 3 && v.shape[0] > 1 ? v.stride[0] : 0; };
  const int row = a.a.rank - 2;
  return {.dtype = a.a.dtype,
          .result_dtype = a.c.dtype,
          .transpose_a = a.transpose_a,
          .transpose_b = a.transpose_b,
          .bias = a.bias.data != nullptr,
          .tf32 = a.precision == Precision::tf32,
          .activation = a.activation,
          .beta = a.beta,
          .batch = a.c.rank == 3 ? a.c.shape[0] : 1,
          .m = a.c.shape[row],
          .n = a.c.shape[row + 1],
          .k = a.transpose_a ? a.a.shape[row] : a.a.shape[row + 1],
          .row_stride_a = row_stride(a.a),
          .row_stride_b = row_stride(a.b),
          .row_stride_c = row_stride(a.c),
          .batch_stride_a = batch_stride(a.a),
          .batch_stride_b = batch_stride(a.b),
          .batch_stride_c = batch_stride(a.c)};
}

/// The rows of c of one product of the batch, as the ops that finish it take them.
inline View<Stored> product_of(const View<Stored>& c, const Gemm& g, std::int64_t index) {
  Extents rows({g.m, g.n});
  rows.stride[0] = g.row_stride_c;
  return {advance(c.data, c.dtype, index * g.batch_stride_c), c.dtype, rows};
}

}  // namespace otnfm
