#include "ot/costs/pair_cost.h"

#include <algorithm>
#include <cmath>

#include "ot/costs/infinity.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

template <class T>
double of_points(const Problem& problem, std::int64_t i, std::int64_t j) {
  const T* x = static_cast<const T*>(problem.source.data) + i * problem.source.row_stride;
  const T* y = static_cast<const T*>(problem.target.data) + j * problem.target.row_stride;
  const std::int64_t d = problem.source.columns;
  double sum = 0;
  if (problem.cost == Cost::negative_dot) {
#pragma omp simd reduction(+ : sum)
    for (std::int64_t k = 0; k < d; ++k) sum -= widen(x[k]) * widen(y[k]);
    return sum;
  }
#pragma omp simd reduction(+ : sum)
  for (std::int64_t k = 0; k < d; ++k) {
    const double difference = widen(x[k]) - widen(y[k]);
    sum += difference * difference;
  }
  return problem.cost == Cost::euclidean ? std::sqrt(sum) : sum;
}

}  // namespace

double pair_cost(const Problem& problem, std::int64_t i, std::int64_t j) {
  if (!problem.has_matrix) {
    switch (problem.dtype()) {
      case DType::float32:
        return of_points<float>(problem, i, j);
      case DType::bfloat16:
        return of_points<bfloat16>(problem, i, j);
      default:
        return of_points<double>(problem, i, j);
    }
  }
  const std::int64_t at = i * problem.costs.row_stride + j;
  switch (problem.dtype()) {
    case DType::float32:
      return static_cast<const float*>(problem.costs.data)[at];
    case DType::int32:
      return static_cast<const std::int32_t*>(problem.costs.data)[at];
    case DType::int64:
      return static_cast<double>(static_cast<const std::int64_t*>(problem.costs.data)[at]);
    default:
      return static_cast<const double*>(problem.costs.data)[at];
  }
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
