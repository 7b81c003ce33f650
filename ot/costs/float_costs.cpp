#include "ot/costs/float_costs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

constexpr std::int64_t kLeastDimension = 8;
constexpr std::int64_t kFillRows = 8;
// How far a cost |x|^2 + |y|^2 - 2 x.y is off, in units of float32's epsilon, 2 u, times |x|^2 + |y|^2 >= 2 |x||y|: the
// coordinates' rounding 1, that of |y|^2 and of the last sum 1.5 and 0.5, and the chain of d multiply-adds. At worst
// the chain is off by d u 2 |x||y|, d / 2; as its roundings are as often up as down, rather by sqrt(d) u 2 |x||y|,
// sqrt(d) / 2 (Higham & Mary, A new approach to probabilistic rounding error analysis, 2019), and their sum over the
// rows by less. So this is an estimate that says when float32 is worth a try, no bound: what an answer is worth is
// proved in double.
double product_rounding(std::int64_t d) {
  return 3 + std::sqrt(static_cast<double>(d)) / 2;
}

template <class T>
void copy_points(const AnyMatrix& points, const double* centre, double scale, float* out) {
  for (std::int64_t i = 0; i < points.rows; ++i) {
    const T* row = static_cast<const T*>(points.data) + i * points.row_stride;
    for (std::int64_t k = 0; k < points.columns; ++k)
      out[i * points.columns + k] = static_cast<float>(scale * (widen(row[k]) - centre[k]));
  }
}

}  // namespace

void FloatCosts::reset(const Problem& problem, bool exchanged, CostColumns& costs, int threads,
                       const SolveLimits& limits) {
  const std::int64_t rows = std::min(problem.n(), problem.m()), columns = std::max(problem.n(), problem.m());
  matrix_.resize(static_cast<std::size_t>(rows * columns));
  if (!problem.has_matrix && problem.cost != Cost::euclidean && problem.dimension() >= kLeastDimension) {
    prepare(problem, exchanged);
    return multiply(rows, columns, problem.dimension(), threads, limits);
  }
  offsets_.clear();
  offset_sum_ = rounding_ = 0;
  costs.reset(problem, exchanged, 0, threads);
  const auto fill = [&](std::int64_t begin, std::int64_t end) {
    HostVector<double> wide(static_cast<std::size_t>(kFillRows * columns));
    for (std::int64_t i = begin; i < end; i += kFillRows) {
      const std::int64_t count = std::min(kFillRows, end - i);
      limits.stop_if_reached();
      costs.tile(i, count, wide.data());
      float* out = matrix_.data() + i * columns;
      for (std::int64_t k = 0; k < count * columns; ++k) out[k] = static_cast<float>(wide[static_cast<std::size_t>(k)]);
    }
  };
  if (threads == 1)
    fill(0, rows);
  else
    host::parallel_ranges(rows, kFillRows, fill);
}

void FloatCosts::multiply(std::int64_t rows, std::int64_t columns, std::int64_t d, int threads,
                          const SolveLimits& limits) {
  constexpr std::int64_t kRows = Panels::kBlockRows;
  const std::int64_t blocks = (rows + kRows - 1) / kRows;
  const auto fill = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * kRows; i < std::min(rows, end * kRows); i += kRows) {
      const std::int64_t count = std::min(kRows, rows - i);
      limits.stop_if_reached();
      float* out = matrix_.data() + i * columns;
      panels_.multiply(source_.data() + i * d, count, out, columns);
      for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t j = 0; j < columns; ++j) out[r * columns + j] += bias_[static_cast<std::size_t>(j)];
    }
  };
  const host::ThreadLimit limit(threads);
  panels_.pack(target_, columns, d);
  host::parallel_ranges(blocks, panels_.grain(), fill);
}

void FloatCosts::prepare(const Problem& problem, bool exchanged) {
  offsets_.clear();
  offset_sum_ = 0;
  const AnyMatrix& x = exchanged ? problem.target : problem.source;
  const AnyMatrix& y = exchanged ? problem.source : problem.target;
  const std::int64_t d = problem.dimension();
  const bool squared = problem.cost == Cost::squared_euclidean;
  HostVector<double> centre(static_cast<std::size_t>(d), 0.0);
  source_.resize(static_cast<std::size_t>(x.rows * d));
  target_.resize(static_cast<std::size_t>(y.rows * d));
  with_element(problem.dtype(), [&](auto element) {
    using T = decltype(element);
    if (squared)
      for (std::int64_t j = 0; j < y.rows; ++j)
        for (std::int64_t k = 0; k < d; ++k)
          centre[static_cast<std::size_t>(k)] +=
              widen(static_cast<const T*>(y.data)[j * y.row_stride + k]) / static_cast<double>(y.rows);
    copy_points<T>(x, centre.data(), squared ? -2 : -1, source_.data());
    copy_points<T>(y, centre.data(), 1, target_.data());
  });
  const auto square_of = [&](const HostVector<float>& points, std::int64_t i) {
    double sum = 0;
    for (std::int64_t k = 0; k < d; ++k) {
      const double value = points[static_cast<std::size_t>(i * d + k)];
      sum += value * value;
    }
    return sum;
  };
  bias_.assign(static_cast<std::size_t>(y.rows), 0.0f);
  if (squared) offsets_.resize(static_cast<std::size_t>(x.rows));
  double source_size = 0, target_size = 0;
  for (std::int64_t i = 0; i < x.rows; ++i) {
    const double square = square_of(source_, i) / (squared ? 4 : 1);
    source_size += square;
    if (squared) offset_sum_ += offsets_[static_cast<std::size_t>(i)] = square;
  }
  for (std::int64_t j = 0; j < y.rows; ++j) {
    const double square = square_of(target_, j);
    target_size += square / static_cast<double>(y.rows) * static_cast<double>(x.rows);
    if (squared) bias_[static_cast<std::size_t>(j)] = static_cast<float>(square);
  }
  rounding_ = product_rounding(d) * std::numeric_limits<float>::epsilon() * (source_size + target_size);
}

}  // namespace otnfm
