#include "ot/matching/sharp_assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "ot/costs/pair_cost.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

constexpr int kMostRounds = 6;
constexpr double kWorthwhile = 16;  // how far the largest cost above a row's least must come down
constexpr double kFelt = 1e-9;      // part of a number that is not rounded away beside it

}  // namespace

bool digits_are_left(double largest_potential, double mean_cost) {
  constexpr double kAllowed = 1e-10;
  return std::numeric_limits<double>::epsilon() * largest_potential <= kAllowed * mean_cost;
}

bool is_sharp(const Problem& problem, const Assignment& result) {
  if (result.status != SolveStatus::converged) return true;
  long double size = 0;
  for (std::int64_t i = 0; i < problem.n(); ++i)
    if (const std::int64_t j = result.sigma[static_cast<std::size_t>(i)]; j >= 0)
      size += std::fabs(pair_cost(problem, i, j));
  if (size == 0 && !problem.has_matrix && problem.cost != Cost::negative_dot) return true;
  const double matched = static_cast<double>(std::min(problem.n(), problem.m()));
  return digits_are_left(largest_size(result.f) + largest_size(result.g), static_cast<double>(size) / matched);
}

std::int64_t solve_sharply(DenseAssignment<double>& dense, std::span<double> costs, std::int64_t n, std::int64_t m,
                           const SolveLimits& limits, std::span<const double> start) {
  std::int64_t paths = dense.solve(costs.data(), n, m, limits, start);
  for (int round = 0; round < kMostRounds && dense.complete(); ++round) {
    long double size = 0;
    for (std::int64_t i = 0; i < n; ++i)
      size += std::fabs(costs[static_cast<std::size_t>(i * m + dense.column_of()[static_cast<std::size_t>(i)])]);
    const double reach = largest_size(dense.u()) + largest_size(dense.v());
    if (digits_are_left(reach, static_cast<double>(size / static_cast<long double>(n)))) break;
    long double excess = 0;
    double most = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto row = costs.subspan(static_cast<std::size_t>(i * m), static_cast<std::size_t>(m));
      const auto [least, greatest] = std::minmax_element(row.begin(), row.end());
      most = std::max(most, *greatest - *least);
      excess += row[static_cast<std::size_t>(dense.column_of()[static_cast<std::size_t>(i)])] - *least;
    }
    if (excess == 0) {
      dense.rest_on_rows();
      break;
    }
    const double above = 2 * static_cast<double>(excess);
    if (!(most > kWorthwhile * above)) break;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto row = costs.subspan(static_cast<std::size_t>(i * m), static_cast<std::size_t>(m));
      const double least = *std::min_element(row.begin(), row.end());
      const double ceiling = least + std::max(above, kFelt * std::fabs(least));
      for (double& cost : row) cost = std::min(cost, ceiling);
    }
    if (limits.out_of_time()) break;
    auto found = dense.solution();
    paths += dense.solve(costs.data(), n, m, limits.remaining(paths));
    if (!dense.complete()) dense.restore(std::move(found));
  }
  return paths;
}

}  // namespace otnfm
