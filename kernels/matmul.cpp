#include "kernels/matmul.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/check.h"
#include "kernels/dispatch.h"
#include "kernels/gemm.h"

namespace otnfm {

std::string describe(const Gemm& g) {
  std::string text;
  if (g.batch != 1) text = std::to_string(g.batch) + " times ";
  text += std::to_string(g.m) + "x" + std::to_string(g.n) + "x" + std::to_string(g.k) + " " + name_of(g.dtype) + " ";
  text += g.transpose_a ? 'T' : 'N';
  text += g.transpose_b ? 'T' : 'N';
  return text;
}

namespace {

/// Rows contiguous, not overlapping, batches likewise.
template <class T>
void require_operand(const char* op, const char* name, const View<T>& v, int rank, std::int64_t batch,
                     std::int64_t rows, std::int64_t columns) {
  const int row = rank - 2;
  const auto wanted = [&] {
    return rank == 3 ? fmt::format("[{}, {}, {}]", batch, rows, columns) : fmt::format("[{}, {}]", rows, columns);
  };
  const bool fits =
      v.rank == rank && (rank == 2 || v.shape[0] == batch) && v.shape[row] == rows && v.shape[row + 1] == columns;
  if (!fits) fail_check(op, name, describe(v) + ", wanted " + wanted());
  if (v.empty()) return;
  const std::int64_t row_stride = rows > 1 ? v.stride[row] : 0, batch_stride = batch > 1 ? v.stride[0] : 0;
  // The products of a batch lie one after the other, or side by side in longer rows (the heads of an attention).
  const bool laid_out = (columns <= 1 || v.stride[row + 1] == 1) && (rows <= 1 || row_stride >= columns) &&
                        (batch <= 1 || batch_stride >= (rows - 1) * row_stride + columns ||
                         (batch_stride >= columns && row_stride >= (batch - 1) * batch_stride + columns));
  if (!laid_out) fail_check(op, name, describe(v) + ", wanted contiguous rows that do not overlap");
  if (v.data == nullptr) fail_check(op, name, describe(v) + ", wanted memory (data is null)");
}

void check(const Matmul& a) {
  const int rank = a.c.rank, row = rank - 2;
  require(rank == 2 || rank == 3, a.kName, "c must be a matrix or a batch of them", describe(a.c));
  require(a.a.rank == rank, a.kName, "a must have the rank of c", describe(a.a));
  const std::int64_t batch = rank == 3 ? a.c.shape[0] : 1, m = a.c.shape[row], n = a.c.shape[row + 1];
  const std::int64_t k = a.transpose_a ? a.a.shape[row] : a.a.shape[row + 1];
  require(batch >= 0 && m >= 0 && n >= 0 && k >= 0, a.kName, "sizes must not be negative", describe(a.c));
  require_operand(a.kName, "c", a.c, rank, batch, m, n);
  require_operand(a.kName, "a", a.a, rank, batch, a.transpose_a ? k : m, a.transpose_a ? m : k);
  require_operand(a.kName, "b", a.b, rank, batch, a.transpose_b ? n : k, a.transpose_b ? k : n);
  if (a.bias.data != nullptr) require_vector(a.kName, "bias", a.bias, n);
  require(a.a.dtype == a.b.dtype, a.kName, "b must be stored as a is", name_of(a.b.dtype));
  require(a.c.dtype == DType::float32 || a.c.dtype == a.a.dtype, a.kName, "c must be stored as a is, or as float32",
          name_of(a.c.dtype));
  require(a.precision == Precision::float32 || (a.precision == Precision::tf32 && a.a.dtype == DType::float32), a.kName,
          "the precision is not one of these operands", name_of(a.precision));
  require(std::isfinite(a.beta), a.kName, "beta must be finite", std::to_string(a.beta));
  require(static_cast<int>(a.activation) >= 0 && a.activation <= Activation::softplus, a.kName, "activation is unknown",
          std::to_string(static_cast<int>(a.activation)));
  const void* const c = a.c.data;
  require(a.c.empty() || (c != a.a.data && c != a.b.data), a.kName, "c must not be a or b", describe(a.c));
}

}  // namespace

OTNFM_DISPATCH_OP(matmul, Matmul);

}  // namespace otnfm
