#include "ot/costs/cost_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ot/costs/lanes.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

constexpr int kBlock = CostRows::kColumnBlock;
constexpr int kVectors = kBlock / kLanes;

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

// Adds coordinates [0, depth) to the costs of `height` rows (stride d) with one block of 32 columns, in out.
template <Cost kind, int height>
void block_costs(const double* rows, std::int64_t d, const double* block, std::int64_t depth, bool from_zero, bool last,
                 double* out, std::int64_t stride, int width) {
  // Unrolled by order, so that the sums are registers before anything else is decided about them.
  Lanes sum[height][kVectors] = {};
  double buffer[height][kBlock] = {};
  const std::size_t bytes = static_cast<std::size_t>(width) * sizeof(double);
  if (!from_zero) {
    for (int r = 0; r < height; ++r) std::memcpy(buffer[r], out + r * stride, bytes);
#pragma GCC unroll 4
    for (int r = 0; r < height; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] = load_lanes(buffer[r] + v * kLanes);
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    const double* y = block + k * kBlock;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Lanes column = load_lanes(y + v * kLanes);
#pragma GCC unroll 4
      for (int r = 0; r < height; ++r) {
        const double x = rows[r * d + k];
        if constexpr (kind == Cost::negative_dot) {
          sum[r][v] = multiply_add(Lanes{} - x, column, sum[r][v]);
        } else {
          const Lanes difference = x - column;
          sum[r][v] = multiply_add(difference, difference, sum[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < height; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store_lanes(buffer[r] + v * kLanes, sum[r][v]);
  for (int r = 0; r < height; ++r) {
    if (kind == Cost::euclidean && last)
      for (double& value : buffer[r]) value = std::sqrt(value);
    std::memcpy(out + r * stride, buffer[r], bytes);
  }
}

template <Cost kind>
void point_costs(const double* rows, std::int64_t count, const double* blocks, std::int64_t columns, std::int64_t d,
                 double* out, std::int64_t stride) {
  constexpr std::int64_t kDepth =
      64;  // 64 x 32 doubles are 16 KB: the block's part stays in the nearest cache for all rows
  for (std::int64_t j = 0; j < columns; j += kBlock) {
    const int width = static_cast<int>(std::min<std::int64_t>(kBlock, columns - j));
    for (std::int64_t k = 0; k == 0 || k < d; k += kDepth) {
      const double* block = blocks + (j / kBlock * d + k) * kBlock;
      const std::int64_t depth = std::min(kDepth, d - k);
      const bool first = k == 0, last = k + kDepth >= d;
      std::int64_t i = 0;
      for (; i + 4 <= count; i += 4)
        block_costs<kind, 4>(rows + i * d + k, d, block, depth, first, last, out + i * stride + j, stride, width);
      for (; i < count; ++i)
        block_costs<kind, 1>(rows + i * d + k, d, block, depth, first, last, out + i * stride + j, stride, width);
    }
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
  const double* rows = source_.data() + first * dimension_;
  switch (problem_.cost) {
    case Cost::squared_euclidean:
      return point_costs<Cost::squared_euclidean>(rows, count, target_blocks_.data(), columns_, dimension_, out,
                                                  stride);
    case Cost::euclidean:
      return point_costs<Cost::euclidean>(rows, count, target_blocks_.data(), columns_, dimension_, out, stride);
    case Cost::negative_dot:
      return point_costs<Cost::negative_dot>(rows, count, target_blocks_.data(), columns_, dimension_, out, stride);
  }
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
