#include "ot/certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/parallel.h"
#include "kernels/error.h"
#include "kernels/host_vector.h"
#include "ot/costs/row_minima.h"

namespace otnfm {
namespace {

constexpr std::int64_t kPairGrain = 8 * cpu::kElementGrain;  // some 30 us of a thread in two dimensions

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
  constexpr std::int64_t kPart = RowMinima::kTile;
  const std::int64_t parts = (n + kPart - 1) / kPart;
  const RowMinima rows(problem, potentials);
  HostVector<double> minima(static_cast<std::size_t>(n)), largest_of(static_cast<std::size_t>(parts));
  const auto run = [&](std::int64_t first, std::int64_t last) {
    RowMinima::Scratch scratch;
    for (std::int64_t part = first; part < last; ++part)
      largest_of[static_cast<std::size_t>(part)] =
          rows.find(part * kPart, std::min(n, (part + 1) * kPart), minima.data() + part * kPart, scratch);
  };
  if (threads == 1)
    run(0, parts);
  else
    cpu::parallel_ranges(parts, std::max<std::int64_t>(1, kPairGrain / (kPart * m)), run);
  for (const double least : minima) dual += std::min(ceiling, least);
  const double largest = *std::max_element(largest_of.begin(), largest_of.end());
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
