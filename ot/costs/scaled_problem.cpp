#include "ot/costs/scaled_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "kernels/error.h"
#include "kernels/host_vector.h"
#include "ot/costs/fill_rows.h"
#include "ot/costs/infinity.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

constexpr int kLeast = -100, kMost = 100;  // exponents of costs that need no scaling
constexpr int kMostInDouble = 1020;        // a potential may be four times the largest cost
// Where costs are further apart than the first, the largest stays above 1, at 2^900 at the most.
constexpr int kApart = 960, kMostScaled = 900;

// What the coordinates of all points span.
struct Span {
  HostVector<double> least, greatest;  // [d]
  double size(std::size_t k) const {
    return least[k] > greatest[k] ? 0 : std::max(std::fabs(least[k]), std::fabs(greatest[k]));
  }
};

Span span_columns(const AnyMatrix& points, const SolveLimits* limits) {
  const auto d = static_cast<std::size_t>(points.columns);
  Span span{HostVector<double>(d, kInfinity), HostVector<double>(d, -kInfinity)};
  std::mutex merging;
  with_element(points.dtype, [&](auto element) {
    using T = decltype(element);
    read_rows(points.rows, points.columns, limits, [&](std::int64_t first, std::int64_t count) {
      HostVector<double> of_least(d, kInfinity), of_greatest(d, -kInfinity);
      double *const least = of_least.data(), *const greatest = of_greatest.data();
      for (std::int64_t i = first; i < first + count; ++i) {
        const T* row = static_cast<const T*>(points.data) + i * points.row_stride;
#pragma omp simd
        for (std::size_t k = 0; k < d; ++k) {
          const double value = widen(row[k]);
          least[k] = value < least[k] ? value : least[k];
          greatest[k] = value > greatest[k] ? value : greatest[k];
        }
      }
      const std::scoped_lock lock(merging);
      for (std::size_t k = 0; k < d; ++k) {
        span.least[k] = std::min(span.least[k], least[k]);
        span.greatest[k] = std::max(span.greatest[k], greatest[k]);
      }
    });
  });
  return span;
}

// The exponent e of |value| < 2^e; value > 0.
int exponent_of(double value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  return exponent;
}

// Of the sizes of a matrix's finite entries that are not 0: the least and the largest.
struct SizeRange {
  double least = kInfinity, largest = 0;
};

SizeRange size_range(const AnyMatrix& matrix, const SolveLimits* limits) {
  SizeRange range;
  std::mutex merging;
  with_element(matrix.dtype, [&](auto element) {
    using T = decltype(element);
    read_rows(matrix.rows, matrix.columns, limits, [&](std::int64_t first, std::int64_t count) {
      double least = kInfinity, largest = 0;
      for (std::int64_t i = first; i < first + count; ++i) {
        const T* row = static_cast<const T*>(matrix.data) + i * matrix.row_stride;
#pragma omp simd reduction(max : largest) reduction(min : least)
        for (std::int64_t k = 0; k < matrix.columns; ++k) {
          const double size = std::fabs(widen(row[k]));
          largest = size > largest && size < kInfinity ? size : largest;
          least = size > 0 && size < least ? size : least;
        }
      }
      const std::scoped_lock lock(merging);
      range.least = std::min(range.least, least);
      range.largest = std::max(range.largest, largest);
    });
  });
  return range;
}

struct Largest {
  double size = 0, value = 0;
  const char* name = "";
  std::int64_t row = 0, column = 0;
};

// The first entry of a matrix that is as large as any, where it is larger than `largest`.
void find_largest(const AnyMatrix& matrix, const char* name, Largest& largest) {
  const double size = size_range(matrix, nullptr).largest;
  if (!(size > largest.size)) return;
  with_element(matrix.dtype, [&](auto element) {
    using T = decltype(element);
    for (std::int64_t i = 0; i < matrix.rows; ++i) {
      const T* row = static_cast<const T*>(matrix.data) + i * matrix.row_stride;
      for (std::int64_t k = 0; k < matrix.columns; ++k)
        if (std::fabs(widen(row[k])) == size) {
          largest = {size, widen(row[k]), name, i, k};
          return;
        }
    }
  });
}

std::string largest_entry(const Problem& problem) {
  Largest largest;
  if (problem.has_matrix) {
    find_largest(problem.costs, "costs", largest);
  } else {
    find_largest(problem.source, "source", largest);
    find_largest(problem.target, "target", largest);
  }
  return fmt::format("{} holds {:.6g} at [{}, {}]", largest.name, largest.value, largest.row, largest.column);
}

CostSize size_of_matrix(const AnyMatrix& costs, const SolveLimits* limits) {
  CostSize size;
  if (costs.dtype == DType::int32 || costs.dtype == DType::int64) {
    size.exponent = 64;
    size.zero = false;
    return size;
  }
  const SizeRange range = size_range(costs, limits);
  size.zero = range.largest == 0;
  if (size.zero) return size;
  size.exponent = exponent_of(range.largest);
  size.least_exponent = exponent_of(range.least);
  return size;
}

// Sums of d terms below 2^e each are below 2^(e + log2 d).
CostSize size_of_points(const Problem& problem, const SolveLimits* limits) {
  const auto d = static_cast<std::size_t>(problem.dimension());
  const Span source = span_columns(problem.source, limits), target = span_columns(problem.target, limits);
  CostSize size;
  for (std::size_t k = 0; k < d; ++k) {
    int exponent = 0;
    if (problem.cost == Cost::negative_dot) {
      const double x = source.size(k), y = target.size(k);
      if (x == 0 || y == 0) continue;
      exponent = exponent_of(x) + exponent_of(y);
    } else {
      // Halves, since the difference of two numbers may exceed double.
      const double half =
          std::max(source.greatest[k], target.greatest[k]) / 2 - std::min(source.least[k], target.least[k]) / 2;
      if (!(half > 0 && half < kInfinity)) continue;
      exponent = (problem.cost == Cost::squared_euclidean ? 2 : 1) * (exponent_of(half) + 1);
    }
    size.exponent = size.zero ? exponent : std::max(size.exponent, exponent);
    size.zero = false;
  }
  if (!size.zero) size.exponent += exponent_of(static_cast<double>(d));
  return size;
}

// matrix times 2^exponent, in float64. By two factors, since 2^exponent may be no double; the second product rounds
// nowhere unless it leaves double's normal range, and the first stays in it where the second does.
AnyMatrix scaled_copy(const AnyMatrix& matrix, int exponent, const SolveLimits* limits, Memory& out) {
  out = Memory();  // the old one goes first
  out = Memory(Device::cpu, static_cast<std::size_t>(matrix.rows * matrix.columns) * sizeof(double),
               "a copy of a problem in another unit");
  auto* const copy = reinterpret_cast<double*>(out.data());
  const double first = std::ldexp(1.0, exponent / 2), second = std::ldexp(1.0, exponent - exponent / 2);
  with_element(matrix.dtype, [&](auto element) {
    using T = decltype(element);
    read_rows(matrix.rows, matrix.columns, limits, [&](std::int64_t begin, std::int64_t count) {
      for (std::int64_t i = begin; i < begin + count; ++i) {
        const T* row = static_cast<const T*>(matrix.data) + i * matrix.row_stride;
        double* to = copy + i * matrix.columns;
        for (std::int64_t k = 0; k < matrix.columns; ++k) to[k] = widen(row[k]) * first * second;
      }
    });
  });
  return View<const double>(copy, {matrix.rows, matrix.columns});
}

}  // namespace

CostSize cost_size(const Problem& problem, const SolveLimits* limits) {
  if (problem.n() == 0 || problem.m() == 0) return {};
  CostSize size = problem.has_matrix ? size_of_matrix(problem.costs, limits) : size_of_points(problem, limits);
  const bool usual = size.zero || (size.exponent >= kLeast && size.exponent <= kMost);
  if (!usual) size.largest = largest_entry(problem);
  return size;
}

void ScaledProblem::reset(const Problem& problem, const SolveLimits* limits) {
  problem_ = problem;
  exponent_ = 0;
  wide_ = false;
  const CostSize size = cost_size(problem, limits);
  if (size.zero || (size.exponent >= kLeast && size.exponent <= kMost)) return;
  if (size.exponent > kMostInDouble)
    throw InputError(fmt::format("{}: {} leave double, which ends at {:.2g}, no room; scale the {} down", size.largest,
                                 problem.has_matrix ? "such costs" : fmt::format("its {} costs", name_of(problem.cost)),
                                 std::numeric_limits<double>::max(), problem.has_matrix ? "matrix" : "points"));
  // Costs of the second degree have the square of what the coordinates are multiplied by.
  const bool second = !problem.has_matrix && problem.cost != Cost::euclidean;
  int exponent = second ? size.exponent / 2 * 2 : size.exponent;
  bool wide = false;
  Problem copy = problem;
  if (problem.has_matrix) {
    const int above = std::clamp(size.exponent - size.least_exponent - kApart, 0, kMostScaled);
    exponent -= above;
    wide = above > kMost;
    copy.costs = scaled_copy(problem.costs, -exponent, limits, first_);
  } else {
    const int each = second ? -exponent / 2 : -exponent;
    copy.source = scaled_copy(problem.source, each, limits, first_);
    copy.target = scaled_copy(problem.target, each, limits, second_);
  }
  problem_ = copy;
  exponent_ = exponent;
  wide_ = wide;
}

void ScaledProblem::back(std::span<double> values) const {
  if (!scaled()) return;
  for (double& value : values) value = std::ldexp(value, exponent_);
}

}  // namespace otnfm
