#include "ot/costs/pair_cost.h"

#include <algorithm>
#include <cmath>

#include "ot/costs/infinity.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

// Sums of every 16th term, so that none waits for another: the same whatever the width of the registers.
constexpr int kSums = 16;

template <class Term>
double sum_of_terms(std::int64_t d, const Term& term) {
  double sums[kSums] = {}, rest = 0;
  std::int64_t k = 0;
  for (; k + kSums <= d; k += kSums)
#pragma omp simd
    for (int s = 0; s < kSums; ++s) sums[s] += term(k + s);
  for (; k < d; ++k) rest += term(k);
  for (int half = kSums / 2; half > 0; half /= 2)
    for (int s = 0; s < half; ++s) sums[s] += sums[s + half];
  return sums[0] + rest;
}

template <class T>
double of_points(const Problem& problem, std::int64_t i, std::int64_t j) {
  const T* x = static_cast<const T*>(problem.source.data) + i * problem.source.row_stride;
  const T* y = static_cast<const T*>(problem.target.data) + j * problem.target.row_stride;
  const std::int64_t d = problem.source.columns;
  if (problem.cost == Cost::negative_dot)
    return sum_of_terms(d, [&](std::int64_t k) { return -(widen(x[k]) * widen(y[k])); });
  const double sum = sum_of_terms(d, [&](std::int64_t k) {
    const double difference = widen(x[k]) - widen(y[k]);
    return difference * difference;
  });
  return problem.cost == Cost::euclidean ? std::sqrt(sum) : sum;
}

}  // namespace

double pair_cost(const Problem& problem, std::int64_t i, std::int64_t j) {
  return with_element(problem.dtype(), [&](auto element) -> double {
    using T = decltype(element);
    if (problem.has_matrix) return widen(static_cast<const T*>(problem.costs.data)[i * problem.costs.row_stride + j]);
    return of_points<T>(problem, i, j);
  });
}

double least_cost_size(const Problem& problem, const SolveLimits& limits) {
  double least = kInfinity;
  for (std::int64_t i = 0; i < problem.n(); ++i) {
    if (limits.out_of_time()) return 0;
    for (std::int64_t j = 0; j < problem.m(); ++j)
      if (const double size = std::fabs(pair_cost(problem, i, j)); size > 0) least = std::min(least, size);
  }
  return least < kInfinity ? least : 0;
}

double rounded_down(long double value) {
  const auto rounded = static_cast<double>(value);
  return rounded > value ? std::nextafter(rounded, -kInfinity) : rounded;
}

}  // namespace otnfm
