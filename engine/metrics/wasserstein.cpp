#include "engine/metrics/wasserstein.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/metrics/collapse.h"
#include "engine/metrics/host_stream.h"
#include "kernels/check.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/matmul.h"
#include "kernels/random.h"
#include "ot/exact.h"

namespace otnfm {
namespace {

void check_samples(const char* where, View<const float> a, View<const float> b) {
  require(a.rank == 2 && !a.empty(), where, "the first sample must be a matrix that is not empty", describe(a));
  require_matrix(where, "the first sample", a, a.rows(), a.columns());
  require_matrix(where, "the second sample", b, a.rows(), a.columns());
}

// [projections, d], each of length 1
std::vector<float> draw_directions(std::int64_t d, const SlicedOptions& options) {
  std::vector<float> directions(static_cast<std::size_t>(options.projections * d));
  const View<float> view(directions.data(), {options.projections, d});
  normal(metrics_stream(), {.y = view, .key = {.seed = options.seed}});
  for (std::int64_t k = 0; k < options.projections; ++k) {
    double square = 0;
    for (std::int64_t j = 0; j < d; ++j) square += static_cast<double>(view(k, j)) * view(k, j);
    const double scale = 1 / std::sqrt(square);
    for (std::int64_t j = 0; j < d; ++j) view(k, j) = static_cast<float>(scale * view(k, j));
  }
  return directions;
}

}  // namespace

double w2(View<const float> a, View<const float> b) {
  check_samples("w2", a, b);
  const Assignment solved = solve_exact(Problem::from_points(a, b));
  const Certificate& certificate = solved.certificate;
  // The gap of an optimum is rounding, relative to the cost; where the clouds (nearly) coincide, relative to their
  // extent.
  const bool closed = certificate.gap <= 1e-6 || certificate.primal_cost - certificate.dual_bound <=
                                                     1e-12 * (covariance_trace(a) + covariance_trace(b));
  if (solved.status != SolveStatus::converged || !certificate.is_permutation || !closed)
    throw RunError(fmt::format("w2: the assignment of {} points ended with status {}, gap {}", a.rows(),
                               name_of(solved.status), certificate.gap));
  return std::sqrt(std::max(0.0, certificate.primal_cost));
}

double sliced_wasserstein(View<const float> a, View<const float> b, const SlicedOptions& options) {
  check_samples("sliced_wasserstein", a, b);
  if (options.projections < 1)
    throw InputError(fmt::format("sliced_wasserstein: {} projections, at least 1 is needed", options.projections));
  const std::int64_t n = a.rows(), d = a.columns(), count = options.projections;
  const std::vector<float> directions = draw_directions(d, options);
  const View<const float> u(directions.data(), {count, d});
  std::vector<float> projected_a(static_cast<std::size_t>(count * n)), projected_b(projected_a.size());
  matmul(metrics_stream(), {.a = u, .b = a, .c = {projected_a.data(), {count, n}}, .transpose_b = true});
  matmul(metrics_stream(), {.a = u, .b = b, .c = {projected_b.data(), {count, n}}, .transpose_b = true});
  std::vector<double> squares(static_cast<std::size_t>(count));
  host::parallel_rows(count, 8 * n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      float* x = projected_a.data() + k * n;
      float* y = projected_b.data() + k * n;
      std::sort(x, x + n);
      std::sort(y, y + n);
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        const double difference = static_cast<double>(x[i]) - y[i];
        sum += difference * difference;
      }
      squares[static_cast<std::size_t>(k)] = sum / static_cast<double>(n);
    }
  });
  return std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0) / static_cast<double>(count));
}

}  // namespace otnfm
