#include "ot/matching/screened_assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ot/costs/screened_columns.h"

namespace otnfm {
namespace {

// Found by measurement (bench_ot, planner/): a start by Sinkhorn wins from here on, later in many dimensions, where the
// dense solver's paths are short.
constexpr std::int64_t kManyPoints = 200, kManyPointsAlways = 512, kFewDimensions = 128;
constexpr std::int64_t kScreenedList = 12;
constexpr double kEpsilon = 0.02, kTolerance = 1e-2;
constexpr std::int64_t kSweeps = 100;
constexpr std::int64_t kArcsPerPair = 8;  // that lists may take before the dense solver does better

constexpr std::int64_t kAnyBytes = std::numeric_limits<std::int64_t>::max();

// The size of all costs together: what depends on a row or a column alone bounds the rest.
double spread_of(const GibbsExponents& exponents) {
  double sum = 0;
  for (const double beta : exponents.beta()) sum += std::fabs(beta);
  for (const double alpha : exponents.alpha()) sum += std::fabs(alpha);
  return sum;
}

}  // namespace

bool ScreenedAssignment::takes(const Problem& problem) {
  return !problem.has_matrix && problem.n() == problem.m() && problem.dimension() > 0 &&
         problem.cost != Cost::euclidean;
}

bool ScreenedAssignment::solve(const Problem& problem, const SolveLimits& limits, int threads, Assignment& result) {
  const bool many =
      problem.n() >= kManyPointsAlways || (problem.n() >= kManyPoints && problem.dimension() <= kFewDimensions);
  return many ? solve_many(problem, limits, threads, result) : solve_few(problem, limits, threads, result);
}

bool ScreenedAssignment::solve_few(const Problem& problem, const SolveLimits& limits, int threads, Assignment& result) {
  const std::int64_t n = problem.n();
  exponents_.reset(problem, /*epsilon=*/1.0, kAnyBytes, &limits);
  const double spread = spread_of(exponents_);
  if (!(spread < 1e30 && spread > 1e-20)) return false;
  costs_.resize(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = exponents_.row(i);
    float* out = costs_.data() + i * n;
    for (std::int64_t j = 0; j < n; ++j) out[j] = -row[j];
  }
  result.iterations = dense_.solve(costs_.data(), n, n, limits);
  for (std::size_t j = 0; j < result.g.size(); ++j)
    result.g[j] = exponents_.beta()[j] + static_cast<double>(dense_.v()[j]) / exponents_.scale();
  ScreenedColumns columns(problem, exponents_, result.g);
  const std::int64_t k = std::min(n, kScreenedList);
  assignment_.reset(n, result.g, columns, k);
  assignment_.set_budget(kArcsPerPair * n * n);
  columns.list_all(assignment_, k, threads, &limits);
  const SolveLimits rest = limits.remaining(result.iterations);
  assignment_.initialise(rest);
  if (!assignment_.solve(rest)) result.status = limits.status();
  if (assignment_.over_budget()) return false;
  result.iterations += assignment_.paths();
  result.sigma.assign(assignment_.column_of().begin(), assignment_.column_of().end());
  result.f.assign(assignment_.f().begin(), assignment_.f().end());
  return true;
}

bool ScreenedAssignment::solve_many(const Problem& problem, const SolveLimits& limits, int threads,
                                    Assignment& result) {
  if (problem.n() < kManyPointsAlways) threads = 1;  // more would only wait for one another
  const SolveWatch watch = [&](const SolveProgress& at) { return !limits.reached(at.iterations); };
  sinkhorn_.solve(problem,
                  {.epsilon = kEpsilon,
                   .tolerance = kTolerance,
                   .max_iterations = kSweeps,
                   .max_seconds = limits.seconds_left(),
                   .most_bytes = kAnyBytes,
                   .threads = threads,
                   .watch = watch,
                   .check_input = false},
                  plan_);
  if (plan_.status == SolveStatus::numerical_failure) return false;
  const std::int64_t n = problem.n();
  Assignment rounded = sinkhorn_.round_to_permutation(0, limits, false, kArcsPerPair * n * n);
  if (rounded.status == SolveStatus::numerical_failure) return false;
  result.sigma = std::move(rounded.sigma);
  result.f = std::move(rounded.f);
  result.g = std::move(rounded.g);
  result.iterations = rounded.iterations;
  // Sinkhorn's status does not tell a limit of time from a watch that ended it, for `watch` above looks at all limits.
  result.status = rounded.status == SolveStatus::converged ? rounded.status : limits.status();
  return true;
}

}  // namespace otnfm
