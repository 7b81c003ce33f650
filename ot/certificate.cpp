// The certificate's one pass over all pairs. For points it works on tiles of 64 rows by 32 columns: the columns'
// coordinates are transposed to [d, 32] in double, so that 4 rows x 4 vectors of 8 columns are accumulated in
// registers, 16 subtractions and 16 multiply-adds for every 4 loads. Differences, not the expanded square: no
// cancellation, the same speed as a product.
#include "ot/certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/error.h"
#include "kernels/host_vector.h"
#include "ot/costs/lanes.h"

namespace otnfm {
namespace {

constexpr std::int64_t kRowTile = 64;
constexpr int kRows = 4;     // rows accumulated at once
constexpr int kVectors = 4;  // vectors of columns accumulated at once
constexpr int kColumns = kVectors * kLanes;

double as_double(float value) {
  return value;
}
double as_double(double value) {
  return value;
}
double as_double(bfloat16 value) {
  return static_cast<float>(value);
}
double as_double(std::int32_t value) {
  return value;
}
double as_double(std::int64_t value) {
  return static_cast<double>(value);
}

template <class Body>
auto with_type(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::float32:
      return body(float{});
    case DType::bfloat16:
      return body(bfloat16{});
    case DType::int32:
      return body(std::int32_t{});
    case DType::int64:
      return body(std::int64_t{});
    default:
      return body(double{});
  }
}

// Row minima of C_ij - g_j, and the largest |C_ij|, over what one thread was given.
struct Pass {
  long double sum = 0;
  double largest = 0;
};

// The cost of 4 rows (stride d) with the 32 columns of one block [d, 32], into cost[4][32].
template <Cost kind>
void block_costs(const double* rows, const double* block, std::int64_t d, double (*cost)[kColumns]) {
  // Unrolled by order, so that the sums are registers before anything else is decided about them.
  Lanes sum[kRows][kVectors] = {};
  for (std::int64_t k = 0; k < d; ++k) {
    const double* y = block + k * kColumns;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Lanes column = load_lanes(y + v * kLanes);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
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
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store_lanes(cost[r] + v * kLanes, sum[r][v]);
  if constexpr (kind == Cost::euclidean)
    for (int r = 0; r < kRows; ++r)
      for (int j = 0; j < kColumns; ++j) cost[r][j] = std::sqrt(cost[r][j]);
}

template <class T>
void load_rows(const AnyMatrix& points, std::int64_t begin, std::int64_t count, double* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const T* row = static_cast<const T*>(points.data) + (begin + i) * points.row_stride;
    for (std::int64_t k = 0; k < points.columns; ++k) out[i * points.columns + k] = as_double(row[k]);
  }
}

template <class T>
void load_columns(const AnyMatrix& points, std::int64_t begin, std::int64_t count, double* out) {
  for (std::int64_t j = 0; j < count; ++j) {
    const T* row = static_cast<const T*>(points.data) + (begin + j) * points.row_stride;
    for (std::int64_t k = 0; k < points.columns; ++k) out[k * kColumns + j] = as_double(row[k]);
  }
}

template <class T, Cost kind>
Pass point_pass(const Problem& problem, const double* g, double ceiling, std::int64_t begin, std::int64_t end) {
  const std::int64_t m = problem.m(), d = problem.dimension();
  HostVector<double> rows(static_cast<std::size_t>(kRowTile * d)), block(static_cast<std::size_t>(kColumns * d));
  double cost[kRows][kColumns];
  double minima[kRowTile][kColumns];
  double largest[kColumns] = {};
  Pass pass;
  for (std::int64_t first = begin; first < end; first += kRowTile) {
    const std::int64_t count = std::min(kRowTile, end - first);
    load_rows<T>(problem.source, first, count, rows.data());
    for (auto& row : minima) std::fill(std::begin(row), std::end(row), std::numeric_limits<double>::infinity());
    for (std::int64_t column = 0; column < m; column += kColumns) {
      const int width = static_cast<int>(std::min<std::int64_t>(kColumns, m - column));
      load_columns<T>(problem.target, column, width, block.data());
      double bias[kColumns];
      for (int j = 0; j < kColumns; ++j) bias[j] = j < width ? g[column + j] : 0;
      for (std::int64_t i = 0; i < count; i += kRows) {
        block_costs<kind>(rows.data() + i * d, block.data(), d, cost);
        const int height = static_cast<int>(std::min<std::int64_t>(kRows, count - i));
        for (int r = 0; r < height; ++r)
          for (int j = 0; j < width; ++j) {
            const double reduced = cost[r][j] - bias[j], size = std::fabs(cost[r][j]);
            minima[i + r][j] = reduced < minima[i + r][j] ? reduced : minima[i + r][j];
            largest[j] = size > largest[j] ? size : largest[j];
          }
      }
    }
    for (std::int64_t i = 0; i < count; ++i)
      pass.sum += std::min(ceiling, *std::min_element(std::begin(minima[i]), std::end(minima[i])));
  }
  pass.largest = *std::max_element(std::begin(largest), std::end(largest));
  return pass;
}

template <class T>
Pass matrix_pass(const AnyMatrix& costs, const double* g, double ceiling, std::int64_t begin, std::int64_t end) {
  Pass pass;
  for (std::int64_t i = begin; i < end; ++i) {
    const T* row = static_cast<const T*>(costs.data) + i * costs.row_stride;
    double least = std::numeric_limits<double>::infinity(), largest = 0;
#pragma omp simd reduction(min : least) reduction(max : largest)
    for (std::int64_t j = 0; j < costs.columns; ++j) {
      const double c = as_double(row[j]), reduced = c - g[j], size = std::fabs(c);
      least = reduced < least ? reduced : least;
      largest = size > largest ? size : largest;
    }
    pass.sum += std::min(ceiling, least);
    pass.largest = std::max(pass.largest, largest);
  }
  return pass;
}

Pass dual_pass(const Problem& problem, const double* g, double ceiling, std::int64_t begin, std::int64_t end) {
  return with_type(problem.dtype(), [&](auto element) {
    using T = decltype(element);
    if constexpr (std::is_integral_v<T>) {
      return matrix_pass<T>(problem.costs, g, ceiling, begin, end);
    } else {
      if constexpr (!std::is_same_v<T, bfloat16>)
        if (problem.has_matrix) return matrix_pass<T>(problem.costs, g, ceiling, begin, end);
      switch (problem.cost) {
        case Cost::euclidean:
          return point_pass<T, Cost::euclidean>(problem, g, ceiling, begin, end);
        case Cost::negative_dot:
          return point_pass<T, Cost::negative_dot>(problem, g, ceiling, begin, end);
        default:
          return point_pass<T, Cost::squared_euclidean>(problem, g, ceiling, begin, end);
      }
    }
  });
}

// C(i, j), exact for integers: a long double holds every int64.
long double pair_cost(const Problem& problem, std::int64_t i, std::int64_t j) {
  return with_type(problem.dtype(), [&](auto element) -> long double {
    using T = decltype(element);
    if (problem.has_matrix) {
      const T value = static_cast<const T*>(problem.costs.data)[i * problem.costs.row_stride + j];
      if constexpr (std::is_integral_v<T>)
        return static_cast<long double>(value);
      else
        return as_double(value);
    }
    const T* x = static_cast<const T*>(problem.source.data) + i * problem.source.row_stride;
    const T* y = static_cast<const T*>(problem.target.data) + j * problem.target.row_stride;
    double sum = 0;
    for (std::int64_t k = 0; k < problem.dimension(); ++k) {
      const double a = as_double(x[k]), b = as_double(y[k]);
      sum += problem.cost == Cost::negative_dot ? -a * b : (a - b) * (a - b);
    }
    return problem.cost == Cost::euclidean ? std::sqrt(sum) : sum;
  });
}

bool matches_smaller_side(std::span<const std::int64_t> sigma, std::int64_t m) {
  HostVector<char> taken(static_cast<std::size_t>(m), 0);
  std::int64_t matched = 0;
  for (const std::int64_t j : sigma) {
    if (j == -1) continue;
    if (j < 0 || j >= m || taken[static_cast<std::size_t>(j)]) return false;
    taken[static_cast<std::size_t>(j)] = 1;
    ++matched;
  }
  return matched == std::min<std::int64_t>(static_cast<std::int64_t>(sigma.size()), m);
}

Certificate bounds_of(const Problem& problem, std::span<const std::int64_t> sigma, std::span<const double> g,
                      int threads) {
  const std::int64_t n = problem.n(), m = problem.m();
  Certificate certificate;
  certificate.is_permutation = matches_smaller_side(sigma, m);
  const std::int64_t matched = std::min(n, m);
  if (matched == 0) return certificate;

  HostVector<double> potentials(g.begin(), g.end());
  double reach = 0;                                                                 // max |g_j|
  bool whole = problem.dtype() == DType::int32 || problem.dtype() == DType::int64;  // the costs and all g_j
  long double dual = 0;
  for (double& value : potentials) {
    if (!std::isfinite(value)) value = 0;
    if (n < m) value = std::min(value, 0.0);
    reach = std::max(reach, std::fabs(value));
    whole = whole && value == std::trunc(value);
    dual += value;
  }
  const double ceiling = n > m ? 0.0 : std::numeric_limits<double>::infinity();
  // The parts are fixed, and summed in order, so that the figure does not depend on the number of threads.
  const std::int64_t parts = (n + kRowTile - 1) / kRowTile;
  HostVector<Pass> passes(static_cast<std::size_t>(parts));
  const auto run = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t part = first; part < last; ++part)
      passes[static_cast<std::size_t>(part)] =
          dual_pass(problem, potentials.data(), ceiling, part * kRowTile, std::min(n, (part + 1) * kRowTile));
  };
  if (threads == 1)
    run(0, parts);
  else
    cpu::parallel_ranges(parts, 4, run);
  double largest = 0;
  for (const Pass& pass : passes) {
    dual += pass.sum;
    largest = std::max(largest, pass.largest);
  }
  // Where the potentials dwarf the costs, C - g rounds digits of C away: the bound is lowered by all that this can be,
  // half a unit in the last place of every row's minimum, so that it stays one. Whole numbers that double holds round
  // nowhere.
  constexpr double kLargestWhole = 9007199254740992.0;  // 2^53
  const bool exact = whole && reach + largest <= kLargestWhole;
  if (reach > 8 * largest && !exact)
    dual -= static_cast<long double>(n) * std::numeric_limits<double>::epsilon() * (reach + largest);
  long double primal = 0;
  for (std::int64_t i = 0; i < n; ++i)
    if (const std::int64_t j = sigma[static_cast<std::size_t>(i)]; j >= 0 && j < m) primal += pair_cost(problem, i, j);

  certificate.primal_cost = static_cast<double>(primal / matched);
  certificate.dual_bound = static_cast<double>(dual / matched);
  const double floor = std::max(1e-12 * largest, std::numeric_limits<double>::min());
  certificate.gap = certificate.is_permutation ? static_cast<double>(primal - dual) / static_cast<double>(matched) /
                                                     std::max(std::fabs(certificate.primal_cost), floor)
                                               : std::numeric_limits<double>::infinity();
  return certificate;
}

}  // namespace

Certificate certify(const Problem& problem, std::span<const std::int64_t> sigma, std::span<const double> g,
                    int threads) {
  const std::int64_t n = problem.n(), m = problem.m();
  if (static_cast<std::int64_t>(sigma.size()) != n)
    throw InputError(fmt::format("certify: sigma has {} entries for {} rows", sigma.size(), n));
  if (static_cast<std::int64_t>(g.size()) != m)
    throw InputError(fmt::format("certify: g has {} entries for {} columns", g.size(), m));
  const cpu::ThreadLimit thread_limit(threads);
  return naming_memory([&] { return "the certificate of " + describe(problem); },
                       [&] { return bounds_of(problem, sigma, g, threads); });
}

}  // namespace otnfm
