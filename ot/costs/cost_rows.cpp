#include "ot/costs/cost_rows.h"

#include <algorithm>
#include <cmath>

#include "ot/costs/widen.h"
#include "ot/loops/loops.h"

namespace otnfm {
namespace {

constexpr int kBlock = CostRows::kColumnBlock;
static_assert(kBlock == kPairColumns);

template <class T>
void pack_rows(const AnyMatrix& points, double* out) {
  for (std::int64_t i = 0; i < points.rows; ++i) {
    const T* row = static_cast<const T*>(points.data) + i * points.row_stride;
    for (std::int64_t k = 0; k < points.columns; ++k) out[i * points.columns + k] = widen(row[k]);
  }
}

template <class T>
void pack_blocks(const AnyMatrix& points, double* out) {
  const std::int64_t d = points.columns;
  for (std::int64_t j = 0; j < points.rows; ++j) {
    const T* row = static_cast<const T*>(points.data) + j * points.row_stride;
    double* column = out + (j / kBlock) * d * kBlock + j % kBlock;
    for (std::int64_t k = 0; k < d; ++k) column[k * kBlock] = widen(row[k]);
  }
}

void point_costs(Cost kind, const double* rows, std::int64_t count, const double* blocks, std::int64_t columns,
                 std::int64_t d, double* out, std::int64_t stride) {
  constexpr std::int64_t kDepth =
      64;  // 64 x 32 doubles are 16 KB: the block's part stays in the nearest cache for all rows
  const auto& pair_costs = loops().pair_costs;
  for (std::int64_t j = 0; j < columns; j += kBlock) {
    const std::int64_t width = std::min<std::int64_t>(kBlock, columns - j);
    const double* block = blocks + j / kBlock * d * kBlock;
    if (width == kBlock) {
      for (std::int64_t k = 0; k == 0 || k < d; k += kDepth)
        pair_costs(kind, rows + k, d, count, block + k * kBlock, std::min(kDepth, d - k), k > 0, out + j, stride);
    } else {
      double whole[kBlock];
      for (std::int64_t i = 0; i < count; ++i) {
        pair_costs(kind, rows + i * d, d, 1, block, d, false, whole, kBlock);
        std::copy_n(whole, width, out + i * stride + j);
      }
    }
    if (kind == Cost::euclidean)
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t c = j; c < j + width; ++c) out[i * stride + c] = std::sqrt(out[i * stride + c]);
  }
}

template <class T>
void matrix_rows(const AnyMatrix& costs, bool exchanged, std::int64_t first, std::int64_t count, double* out,
                 std::int64_t stride) {
  const T* data = static_cast<const T*>(costs.data);
  if (!exchanged) {
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t j = 0; j < costs.columns; ++j)
        out[i * stride + j] = widen(data[(first + i) * costs.row_stride + j]);
    return;
  }
  for (std::int64_t j = 0; j < costs.rows; ++j)
    for (std::int64_t i = 0; i < count; ++i) out[i * stride + j] = widen(data[j * costs.row_stride + first + i]);
}

}  // namespace

void CostRows::reserve(std::int64_t n, std::int64_t m, std::int64_t d) {
  const std::int64_t most = std::max(n, m);
  source_.reserve(static_cast<std::size_t>(most * d));
  target_blocks_.reserve(static_cast<std::size_t>((most + kBlock - 1) / kBlock * d * kBlock));
}

void CostRows::reset(const Problem& problem, bool exchanged) {
  problem_ = problem;
  exchanged_ = exchanged;
  rows_ = exchanged ? problem.m() : problem.n();
  columns_ = exchanged ? problem.n() : problem.m();
  dimension_ = problem.dimension();
  if (problem.has_matrix) return;
  const AnyMatrix& source = exchanged ? problem.target : problem.source;
  const AnyMatrix& target = exchanged ? problem.source : problem.target;
  source_.resize(static_cast<std::size_t>(rows_ * dimension_));
  target_blocks_.assign(static_cast<std::size_t>((columns_ + kBlock - 1) / kBlock * dimension_ * kBlock), 0.0);
  switch (problem.dtype()) {
    case DType::float32:
      pack_rows<float>(source, source_.data());
      pack_blocks<float>(target, target_blocks_.data());
      break;
    case DType::bfloat16:
      pack_rows<bfloat16>(source, source_.data());
      pack_blocks<bfloat16>(target, target_blocks_.data());
      break;
    default:
      pack_rows<double>(source, source_.data());
      pack_blocks<double>(target, target_blocks_.data());
  }
}

double CostRows::at(std::int64_t i, std::int64_t j) const {
  if (problem_.has_matrix) {
    const AnyMatrix& costs = problem_.costs;
    const std::int64_t index = exchanged_ ? j * costs.row_stride + i : i * costs.row_stride + j;
    switch (costs.dtype) {
      case DType::float32:
        return static_cast<const float*>(costs.data)[index];
      case DType::int32:
        return static_cast<const std::int32_t*>(costs.data)[index];
      case DType::int64:
        return static_cast<double>(static_cast<const std::int64_t*>(costs.data)[index]);
      default:
        return static_cast<const double*>(costs.data)[index];
    }
  }
  const double* x = source_.data() + i * dimension_;
  const double* y = target_blocks_.data() + (j / kBlock) * dimension_ * kBlock + j % kBlock;
  double sum = 0;
  for (std::int64_t k = 0; k < dimension_; ++k) {
    const double difference = x[k] - y[k * kBlock];
    sum += problem_.cost == Cost::negative_dot ? -x[k] * y[k * kBlock] : difference * difference;
  }
  return problem_.cost == Cost::euclidean ? std::sqrt(sum) : sum;
}

void CostRows::tile(std::int64_t first, std::int64_t count, double* out, std::int64_t stride) const {
  if (problem_.has_matrix) return matrix_tile(first, count, out, stride);
  point_tile(first, count, out, stride);
}

void CostRows::point_tile(std::int64_t first, std::int64_t count, double* out, std::int64_t stride) const {
  point_costs(problem_.cost, source_.data() + first * dimension_, count, target_blocks_.data(), columns_, dimension_,
              out, stride);
}

void CostRows::matrix_tile(std::int64_t first, std::int64_t count, double* out, std::int64_t stride) const {
  switch (problem_.costs.dtype) {
    case DType::float32:
      return matrix_rows<float>(problem_.costs, exchanged_, first, count, out, stride);
    case DType::int32:
      return matrix_rows<std::int32_t>(problem_.costs, exchanged_, first, count, out, stride);
    case DType::int64:
      return matrix_rows<std::int64_t>(problem_.costs, exchanged_, first, count, out, stride);
    default:
      return matrix_rows<double>(problem_.costs, exchanged_, first, count, out, stride);
  }
}

}  // namespace otnfm
