#include "ot/costs/scaled_problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

constexpr int kLeast = -100, kMost = 100;  // exponents of costs that need no scaling
constexpr int kMostInDouble = 1020;        // a potential may be four times the largest cost
// Where costs are further apart than the first, the largest stays above 1, at 2^900 at the most.
constexpr int kApart = 960, kMostScaled = 900;

// What coordinate k of all points spans, and is at most.
struct Column {
  double least = std::numeric_limits<double>::infinity(), greatest = -least;
  double size() const { return least > greatest ? 0 : std::max(std::fabs(least), std::fabs(greatest)); }
};

void span_columns(const AnyMatrix& points, HostVector<Column>& columns) {
  with_element(points.dtype, [&](auto element) {
    using T = decltype(element);
    for (std::int64_t i = 0; i < points.rows; ++i) {
      const T* row = static_cast<const T*>(points.data) + i * points.row_stride;
      for (std::int64_t k = 0; k < points.columns; ++k) {
        const double value = widen(row[k]);
        Column& column = columns[static_cast<std::size_t>(k)];
        column.least = value < column.least ? value : column.least;
        column.greatest = value > column.greatest ? value : column.greatest;
      }
    }
  });
}

// The exponent e of |value| < 2^e; value > 0.
int exponent_of(double value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  return exponent;
}

struct Largest {
  double size = 0, value = 0;
  const char* name = "";
  std::int64_t row = 0, column = 0;
};

void find_largest(const AnyMatrix& matrix, const char* name, Largest& largest) {
  with_element(matrix.dtype, [&](auto element) {
    using T = decltype(element);
    for (std::int64_t i = 0; i < matrix.rows; ++i) {
      const T* row = static_cast<const T*>(matrix.data) + i * matrix.row_stride;
      double most = 0;
      for (std::int64_t k = 0; k < matrix.columns; ++k) {
        const double size = std::fabs(widen(row[k]));
        most = size > most && size < std::numeric_limits<double>::infinity() ? size : most;
      }
      if (!(most > largest.size)) continue;
      for (std::int64_t k = 0; k < matrix.columns; ++k)
        if (std::fabs(widen(row[k])) == most) {
          largest = {most, widen(row[k]), name, i, k};
          break;
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

CostSize size_of_matrix(const AnyMatrix& costs) {
  CostSize size;
  if (costs.dtype == DType::int32 || costs.dtype == DType::int64) {
    size.exponent = 64;
    size.zero = false;
    return size;
  }
  Largest largest;
  find_largest(costs, "costs", largest);
  size.zero = largest.size == 0;
  if (!size.zero) size.exponent = exponent_of(largest.size);
  return size;
}

// Sums of d terms below 2^e each are below 2^(e + log2 d).
CostSize size_of_points(const Problem& problem) {
  const auto d = static_cast<std::size_t>(problem.dimension());
  HostVector<Column> source(d), target(d);
  span_columns(problem.source, source);
  span_columns(problem.target, target);
  CostSize size;
  for (std::size_t k = 0; k < d; ++k) {
    int exponent = 0;
    if (problem.cost == Cost::negative_dot) {
      const double x = source[k].size(), y = target[k].size();
      if (x == 0 || y == 0) continue;
      exponent = exponent_of(x) + exponent_of(y);
    } else {
      // Halves, since the difference of two numbers may exceed double.
      const double half =
          std::max(source[k].greatest, target[k].greatest) / 2 - std::min(source[k].least, target[k].least) / 2;
      if (!(half > 0 && half < std::numeric_limits<double>::infinity())) continue;
      exponent = (problem.cost == Cost::squared_euclidean ? 2 : 1) * (exponent_of(half) + 1);
    }
    size.exponent = size.zero ? exponent : std::max(size.exponent, exponent);
    size.zero = false;
  }
  if (!size.zero) size.exponent += exponent_of(static_cast<double>(d));
  return size;
}

// Of the least cost that is not 0.
int least_exponent(const AnyMatrix& costs) {
  double least = std::numeric_limits<double>::infinity();
  with_element(costs.dtype, [&](auto element) {
    using T = decltype(element);
    for (std::int64_t i = 0; i < costs.rows; ++i)
      for (std::int64_t j = 0; j < costs.columns; ++j) {
        const double size = std::fabs(widen(static_cast<const T*>(costs.data)[i * costs.row_stride + j]));
        least = size > 0 && size < least ? size : least;
      }
  });
  return exponent_of(least);
}

// matrix times 2^exponent, in float64.
AnyMatrix scaled_copy(const AnyMatrix& matrix, int exponent, HostVector<double>& out) {
  out.resize(static_cast<std::size_t>(matrix.rows * matrix.columns));
  with_element(matrix.dtype, [&](auto element) {
    using T = decltype(element);
    for (std::int64_t i = 0; i < matrix.rows; ++i) {
      const T* row = static_cast<const T*>(matrix.data) + i * matrix.row_stride;
      for (std::int64_t k = 0; k < matrix.columns; ++k)
        out[static_cast<std::size_t>(i * matrix.columns + k)] = std::ldexp(widen(row[k]), exponent);
    }
  });
  return View<const double>(out.data(), {matrix.rows, matrix.columns});
}

}  // namespace

CostSize cost_size(const Problem& problem) {
  if (problem.n() == 0 || problem.m() == 0) return {};
  CostSize size = problem.has_matrix ? size_of_matrix(problem.costs) : size_of_points(problem);
  const bool usual = size.zero || (size.exponent >= kLeast && size.exponent <= kMost);
  if (!usual) size.largest = largest_entry(problem);
  return size;
}

void ScaledProblem::reset(const Problem& problem) {
  problem_ = problem;
  exponent_ = 0;
  wide_ = false;
  const CostSize size = cost_size(problem);
  if (size.zero || (size.exponent >= kLeast && size.exponent <= kMost)) return;
  if (size.exponent > kMostInDouble)
    throw InputError(fmt::format("{}: {} leave double, which ends at {:.2g}, no room; scale the {} down", size.largest,
                                 problem.has_matrix ? "such costs" : fmt::format("its {} costs", name_of(problem.cost)),
                                 std::numeric_limits<double>::max(), problem.has_matrix ? "matrix" : "points"));
  naming_memory([&] { return "a scaled copy of " + describe(problem); },
                [&] {
                  // Costs of the second degree have the square of what the coordinates are multiplied by.
                  const bool second = !problem.has_matrix && problem.cost != Cost::euclidean;
                  exponent_ = second ? size.exponent / 2 * 2 : size.exponent;
                  if (problem.has_matrix) {
                    const int above =
                        std::clamp(size.exponent - least_exponent(problem.costs) - kApart, 0, kMostScaled);
                    exponent_ -= above;
                    wide_ = above > kMost;
                    problem_.costs = scaled_copy(problem.costs, -exponent_, first_);
                  } else {
                    const int each = second ? -exponent_ / 2 : -exponent_;
                    problem_.source = scaled_copy(problem.source, each, first_);
                    problem_.target = scaled_copy(problem.target, each, second_);
                  }
                });
}

void ScaledProblem::back(std::span<double> values) const {
  if (!scaled()) return;
  for (double& value : values) value = std::ldexp(value, exponent_);
}

}  // namespace otnfm
