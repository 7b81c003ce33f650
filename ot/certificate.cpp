#include "ot/certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/infinity.h"
#include "ot/costs/pair_cost.h"
#include "ot/costs/row_minima.h"
#include "ot/costs/scaled_problem.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

constexpr std::int64_t kPairGrain = 8 * host::kElementGrain;  // some 30 us of a thread in two dimensions

// C(i, j), exact for integers: a long double holds every int64.
long double exact_cost(const Problem& problem, std::int64_t i, std::int64_t j) {
  return with_element(problem.dtype(), [&](auto element) -> long double {
    using T = decltype(element);
    if (problem.has_matrix) {
      const T value = static_cast<const T*>(problem.costs.data)[i * problem.costs.row_stride + j];
      if constexpr (std::is_integral_v<T>)
        return static_cast<long double>(value);
      else
        return widen(value);
    }
    const T* x = static_cast<const T*>(problem.source.data) + i * problem.source.row_stride;
    const T* y = static_cast<const T*>(problem.target.data) + j * problem.target.row_stride;
    double sum = 0;
    for (std::int64_t k = 0; k < problem.dimension(); ++k) {
      const double a = widen(x[k]), b = widen(y[k]);
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

// No cost of points is below this.
double least_possible_cost(const Problem& problem) {
  if (problem.has_matrix) return -kInfinity;
  if (problem.cost != Cost::negative_dot) return 0;
  // In units of the largest coordinate, so that no square that counts leaves the range of double.
  const auto longest = [&](const AnyMatrix& points) {
    return with_element(points.dtype, [&](auto element) {
      using T = decltype(element);
      const auto at = [&](std::int64_t i, std::int64_t k) {
        return std::fabs(widen(static_cast<const T*>(points.data)[i * points.row_stride + k]));
      };
      double unit = 0, most = 0;
      for (std::int64_t i = 0; i < points.rows; ++i)
        for (std::int64_t k = 0; k < points.columns; ++k) unit = std::max<double>(unit, at(i, k));
      if (unit == 0) return 0.0;
      for (std::int64_t i = 0; i < points.rows; ++i) {
        double square = 0;
        for (std::int64_t k = 0; k < points.columns; ++k) {
          const double value = at(i, k) / unit;
          square += value * value;
        }
        most = std::max(most, square);
      }
      return unit * std::sqrt(most);
    });
  };
  return -longest(problem.source) * longest(problem.target) * (1 + 1e-9);
}

struct Primal {
  long double sum = 0, size = 0;  // of C(i, sigma(i)), and of their sizes
};

Primal primal_of(const Problem& problem, std::span<const std::int64_t> sigma) {
  Primal primal;
  for (std::int64_t i = 0; i < problem.n(); ++i)
    if (const std::int64_t j = sigma[static_cast<std::size_t>(i)]; j >= 0 && j < problem.m()) {
      const long double cost = exact_cost(problem, i, j);
      primal.sum += cost;
      primal.size += std::fabs(cost);
    }
  return primal;
}

// What is proven of sum_i min_j (C_ij - g_j) + sum_j g_j, rounding taken off; for the rows that a limit left over, a
// bound that costs nothing.
struct DualSum {
  long double bound = 0;
  std::int64_t proven_rows = 0;
};

DualSum dual_of(const Problem& problem, std::span<const double> g, const SolveLimits& limits, int threads) {
  const std::int64_t n = problem.n(), m = problem.m();
  HostVector<double> potentials(g.begin(), g.end());
  double reach = 0, highest = -kInfinity;  // max |g_j|, max g_j
  bool whole = problem.integral();         // the costs and all g_j
  long double bound = 0;
  for (double& value : potentials) {
    if (!std::isfinite(value)) value = 0;
    if (n < m) value = std::min(value, 0.0);
    reach = std::max(reach, std::fabs(value));
    highest = std::max(highest, value);
    whole = whole && value == std::trunc(value);
    bound += value;
  }
  const double ceiling = n > m ? 0.0 : kInfinity;
  // The parts are fixed, and summed in order, so that the figure does not depend on the number of threads.
  constexpr std::int64_t kPart = RowMinima::kTile;
  const std::int64_t parts = (n + kPart - 1) / kPart;
  const RowMinima rows(problem, potentials);
  HostVector<double> minima(static_cast<std::size_t>(n)), largest_of(static_cast<std::size_t>(parts), -1.0);
  std::atomic<std::int64_t> unproven = n;
  const auto run = [&](std::int64_t first, std::int64_t last) {
    RowMinima::Scratch scratch;
    scratch.stop = [&] { return limits.out_of_time(unproven.load(std::memory_order_relaxed)); };
    for (std::int64_t part = first; part < last; ++part) {
      const std::int64_t begin = part * kPart, end = std::min(n, begin + kPart);
      if (scratch.stop() || !rows.find(begin, end, minima.data() + begin, scratch)) return;
      largest_of[static_cast<std::size_t>(part)] = scratch.largest;
      unproven.fetch_sub(end - begin, std::memory_order_relaxed);
    }
  };
  if (threads == 1)
    run(0, parts);
  else
    host::parallel_ranges(parts, std::max<std::int64_t>(1, kPairGrain / (kPart * m)), run);
  const std::int64_t proven_rows = n - unproven.load();
  double largest = 0;
  long double size = 0;
  for (std::int64_t part = 0; part < parts; ++part) {
    const double of_part = largest_of[static_cast<std::size_t>(part)];
    if (of_part < 0) continue;
    largest = std::max(largest, of_part);
    for (std::int64_t i = part * kPart; i < std::min(n, (part + 1) * kPart); ++i) {
      const double least = std::min(ceiling, minima[static_cast<std::size_t>(i)]);
      bound += least;
      size += std::fabs(least);
    }
  }
  // C - g is rounded once, by half a unit in its own last place: the bound is lowered by that, so that it stays one.
  // Whole numbers that double holds round nowhere; others are rounded themselves.
  constexpr double kLargestWhole = 9007199254740992.0;  // 2^53
  constexpr long double kHalfUnit = std::numeric_limits<double>::epsilon() / 2;
  if (!(whole && reach + largest <= kLargestWhole)) bound -= size * kHalfUnit;
  if (problem.integral() && largest > kLargestWhole)
    bound -= static_cast<long double>(n) * 2 * kHalfUnit * static_cast<long double>(largest);
  if (proven_rows < n) {
    const double least = least_possible_cost(problem);
    bound += static_cast<long double>(n - proven_rows) * std::min(ceiling, least - highest);
    if (std::isnan(bound)) bound = -std::numeric_limits<long double>::infinity();
  }
  return {.bound = bound, .proven_rows = proven_rows};
}

Certificate bounds_of(const Problem& problem, std::span<const std::int64_t> sigma, std::span<const double> g,
                      const SolveLimits& limits, int threads) {
  Certificate certificate;
  certificate.is_permutation = matches_smaller_side(sigma, problem.m());
  const auto matched = static_cast<long double>(std::min(problem.n(), problem.m()));
  certificate.proven_rows = problem.n();
  if (matched == 0) return certificate;
  const double began = limits.seconds();
  const Primal primal = primal_of(problem, sigma);
  const DualSum found = dual_of(problem, g, limits, threads);
  certificate.proven_rows = found.proven_rows;
  long double dual = std::max(found.bound, matched * static_cast<long double>(least_possible_cost(problem)));
  // Potentials of 0 prove that nothing costs less than nothing, which others miss by their rounding.
  if (primal.size == 0 && dual < 0) {
    const HostVector<double> zeros(g.size(), 0.0);
    dual = std::max(dual, dual_of(problem, zeros, limits, threads).bound);
  }
  // The same costs, summed in another order: a bound that is met may come out above.
  const long double excess = primal.sum - dual;
  if (certificate.is_permutation && excess < 0 && -excess <= 1e-12L * primal.size) dual = primal.sum;
  certificate.primal_cost = static_cast<double>(primal.sum / matched);
  certificate.dual_bound = rounded_down(dual / matched);
  certificate.gap = kInfinity;
  if (certificate.is_permutation && std::isfinite(primal.sum)) {  // no forbidden pair is in it
    // What costs nothing has no digits to be wrong in: those of the least cost that there is, then.
    const long double size = excess > 0 && primal.size == 0
                                 ? matched * static_cast<long double>(least_cost_size(problem, limits))
                                 : primal.size;
    certificate.gap = excess <= 0 ? 0 : static_cast<double>(excess / std::max(std::fabs(primal.sum), 1e-12L * size));
  }
  certificate.seconds = limits.seconds() - began;
  return certificate;
}

Certificate certify_scaled(const Problem& problem, std::span<const std::int64_t> sigma, std::span<const double> g,
                           const SolveLimits* scaling, const SolveLimits& limits, int threads) {
  const std::int64_t n = problem.n(), m = problem.m();
  if (static_cast<std::int64_t>(sigma.size()) != n)
    throw InputError(fmt::format("certify: sigma has {} entries for {} rows", sigma.size(), n));
  if (static_cast<std::int64_t>(g.size()) != m)
    throw InputError(fmt::format("certify: g has {} entries for {} columns", g.size(), m));
  const host::ThreadLimit thread_limit(threads);
  return naming_memory([&] { return "the certificate of " + describe(problem); },
                       [&] {
                         ScaledProblem scaled;
                         try {
                           scaled.reset(problem, scaling);
                         } catch (const SolveStopped&) {
                           // As it is, then: there is no time for a proof, which alone needs what scaling is for.
                         }
                         if (!scaled.scaled()) return bounds_of(problem, sigma, g, limits, threads);
                         HostVector<double> potentials(g.begin(), g.end());
                         for (double& value : potentials) value = scaled.forth(value);
                         Certificate certificate = bounds_of(scaled.problem(), sigma, potentials, limits, threads);
                         certificate.primal_cost = scaled.back(certificate.primal_cost);
                         certificate.dual_bound = scaled.back(certificate.dual_bound);
                         return certificate;
                       });
}

}  // namespace

Certificate certify(const Problem& problem, std::span<const std::int64_t> sigma, std::span<const double> g,
                    int threads) {
  return certify(problem, sigma, g, SolveLimits(), threads);
}

Certificate certify(const Problem& problem, std::span<const std::int64_t> sigma, std::span<const double> g,
                    const SolveLimits& limits, int threads) {
  return certify_scaled(problem, sigma, g, &limits, limits, threads);
}

Certificate cost_of_pairs(const Problem& problem, std::span<const std::int64_t> sigma) {
  const HostVector<double> zeros(static_cast<std::size_t>(problem.m()), 0.0);
  Certificate certificate =
      certify_scaled(problem, sigma, zeros, nullptr, SolveLimits(SolveLimits::kNoIterations, -1), 0);
  certificate.dual_bound = certificate.gap = std::numeric_limits<double>::quiet_NaN();
  certificate.seconds = 0;
  return certificate;
}

double estimate_proof_seconds(const Problem& problem, int threads) {
  const std::int64_t n = problem.n(), m = problem.m();
  if (n == 0 || m == 0) return 0;
  constexpr std::int64_t kOperations = std::int64_t{1} << 23, kFewest = 32;
  const std::int64_t rows = std::min(n, RowMinima::kTile), d = std::max<std::int64_t>(1, problem.dimension());
  const std::int64_t columns = std::min(m, std::max(kFewest, kOperations / (rows * d)));
  Problem part = problem;
  (part.has_matrix ? part.costs : part.source).rows = rows;
  if (part.has_matrix)
    part.costs.columns = columns;
  else
    part.target.rows = columns;
  const HostVector<double> g(static_cast<std::size_t>(columns), 0.0);
  const SolveLimits clock;
  dual_of(part, g, clock, 1);
  const double share = clock.seconds() / (static_cast<double>(rows) * static_cast<double>(columns));
  const int at_once = threads > 0 ? threads : host::thread_count();
  return share * static_cast<double>(n) * static_cast<double>(m) / at_once;
}

}  // namespace otnfm
