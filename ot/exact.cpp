#include "ot/exact.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "kernels/check.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/cost_rows.h"
#include "ot/costs/fill_rows.h"
#include "ot/costs/integer_range.h"
#include "ot/matching/batch.h"
#include "ot/matching/dense_assignment.h"
#include "ot/matching/multilevel.h"
#include "ot/matching/proven_solve.h"
#include "ot/matching/screened_assignment.h"
#include "ot/matching/sharp_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

constexpr std::int64_t kMostStored = std::int64_t{1} << 30;  // costs

// What one thread needs to solve one problem.
struct Scratch {
  PreparedProblem prepared;
  CostRows costs;
  HostVector<double> matrix;
  DenseAssignment<double> dense;
  ScreenedAssignment screened;
  MultilevelAssignment multilevel;
};

// Copies a dense solution, whose rows may be the problem's columns, into the result.
template <class T>
void store(const DenseAssignment<T>& solved, bool exchanged, T shift, const SolveLimits& limits, Assignment& result) {
  const auto& column_of = solved.column_of();
  if (exchanged) {
    for (std::size_t i = 0; i < column_of.size(); ++i)
      if (column_of[i] >= 0) result.sigma[static_cast<std::size_t>(column_of[i])] = static_cast<std::int64_t>(i);
  } else {
    result.sigma.assign(column_of.begin(), column_of.end());
  }
  std::vector<double>& u = exchanged ? result.g : result.f;
  std::vector<double>& v = exchanged ? result.f : result.g;
  for (std::size_t i = 0; i < u.size(); ++i)
    u[i] = column_of[i] >= 0 ? static_cast<double>(solved.u()[i] + shift) : -std::numeric_limits<double>::infinity();
  for (std::size_t j = 0; j < v.size(); ++j) v[j] = static_cast<double>(solved.v()[j]);
  if (!solved.complete()) result.status = limits.status();
}

// Integer costs in arithmetic that holds every potential exactly: those of an optimal basis are at most n times the
// range.
template <class T>
void solve_integers_as(const Problem& problem, bool exchanged, __int128 least, const SolveLimits& limits,
                       Assignment& result) {
  const std::int64_t n = problem.n(), m = problem.m();
  HostVector<T> matrix(static_cast<std::size_t>(n * m));
  with_integer(problem.dtype(), [&](auto element) {
    using Element = decltype(element);
    fill_rows(n, m, limits, [&](std::int64_t first, std::int64_t count) {
      for (std::int64_t i = first; i < first + count; ++i) {
        const Element* row = static_cast<const Element*>(problem.costs.data) + i * problem.costs.row_stride;
        for (std::int64_t j = 0; j < m; ++j)
          matrix[static_cast<std::size_t>(exchanged ? j * n + i : i * m + j)] =
              static_cast<T>(static_cast<__int128>(row[j]) - least);
      }
    });
  });
  DenseAssignment<T> dense;
  result.iterations = dense.solve(matrix.data(), std::min(n, m), std::max(n, m), limits);
  store(dense, exchanged, static_cast<T>(least), limits, result);
}

void solve_integers(const Problem& problem, bool exchanged, const SolveLimits& limits, Assignment& result) {
  const IntegerRange range = range_of_integers(problem.costs, limits);
  const __int128 least = range.least, greatest = range.greatest;
  const __int128 size = greatest > -least ? greatest : -least;
  const __int128 bound = 4 * (std::min(problem.n(), problem.m()) + 1) * (greatest - least) + size;
  if (bound < static_cast<__int128>(1) << 53)
    solve_integers_as<double>(problem, exchanged, least, limits, result);
  else if (bound < static_cast<__int128>(1) << 59)
    solve_integers_as<std::int64_t>(problem, exchanged, least, limits, result);
  else
    solve_integers_as<__int128>(problem, exchanged, least, limits, result);
}

void solve_dense(const Problem& problem, const SolveLimits& limits, Scratch& scratch, Assignment& result) {
  const bool exchanged = problem.n() > problem.m();
  if (problem.integral()) return solve_integers(problem, exchanged, limits, result);
  scratch.costs.reset(problem, exchanged);
  const std::int64_t rows = scratch.costs.rows(), columns = scratch.costs.columns();
  scratch.matrix.resize(static_cast<std::size_t>(rows * columns));
  fill_rows(rows, columns * (1 + problem.dimension()), limits, [&](std::int64_t first, std::int64_t count) {
    scratch.costs.tile(first, count, scratch.matrix.data() + first * columns, columns);
  });
  result.iterations += solve_sharply(scratch.dense, scratch.matrix, rows, columns, limits.remaining(result.iterations));
  store(scratch.dense, exchanged, 0.0, limits, result);
}

ExactAlgorithm algorithm_for(const Problem& problem, const ExactOptions& options) {
  const ExactAlgorithm algorithm =
      options.algorithm == ExactAlgorithm::automatic ? plan_exact(problem) : options.algorithm;
  if (algorithm == ExactAlgorithm::multilevel &&
      (problem.has_matrix || problem.n() != problem.m() || problem.dimension() == 0))
    throw InputError(
        fmt::format("algorithm multilevel takes two point clouds of equal size, not {}", describe(problem)));
  if (algorithm == ExactAlgorithm::screened && !ScreenedAssignment::takes(problem))
    throw InputError(fmt::format(
        "algorithm screened takes two point clouds of equal size with squared Euclidean or dot product cost, not {}",
        describe(problem)));
  return algorithm;
}

// The algorithm asked for, or the dense one where that cannot, or had better not, go on.
void solve_by(ExactAlgorithm algorithm, const Problem& problem, const ExactOptions& options, const SolveLimits& limits,
              Scratch& scratch, Assignment& result) {
  result.algorithm = name_of(algorithm);
  bool complete = false;
  if (algorithm == ExactAlgorithm::multilevel) {
    const std::int64_t budget = options.algorithm == ExactAlgorithm::automatic
                                    ? MultilevelAssignment::usual_budget(problem.n())
                                    : std::numeric_limits<std::int64_t>::max();
    complete = scratch.multilevel.solve(problem, budget, limits, options.threads, result);
    if (complete && (is_sharp(problem, result) || problem.n() > kMostStored / problem.n())) return;
  } else if (algorithm == ExactAlgorithm::screened) {
    complete = scratch.screened.solve(problem, limits, options.threads, result);
    if (complete && is_sharp(problem, result)) return;
  }
  const auto densely = [&] {
    result.algorithm = name_of(ExactAlgorithm::dense);
    solve_dense(problem, limits, scratch, result);
  };
  if (complete) return solve_again(result, densely);
  forget(result);
  densely();
}

void solve_one(const Problem& problem, const ExactOptions& options, const SolveLimits& limits, Scratch& scratch,
               Assignment& result) {
  const ExactAlgorithm algorithm = algorithm_for(problem, options);
  const host::ThreadLimit thread_limit(options.threads);
  naming_memory([&] { return "the exact assignment of " + describe(problem); },
                [&] {
                  solve_and_prove(scratch.prepared, problem, options.check_input,
                                  {.certify = options.certify, .threads = options.threads}, limits, result,
                                  [&](const PreparedProblem& prepared, const SolveLimits& until) {
                                    solve_by(algorithm, prepared.problem(), options, until, scratch, result);
                                  });
                });
}

}  // namespace

const char* name_of(ExactAlgorithm algorithm) {
  switch (algorithm) {
    case ExactAlgorithm::automatic:
      return "automatic";
    case ExactAlgorithm::dense:
      return "dense";
    case ExactAlgorithm::screened:
      return "screened";
    case ExactAlgorithm::multilevel:
      return "multilevel";
  }
  return "unknown";
}

// Measured by bench_ot's planner/ on Gaussian clouds and mixtures. Below some 200 points the dense solver wins but in
// two and three dimensions, where its paths are long; from there on the screened one, until in so few dimensions the
// multilevel's n k work beats n^2. Where n^2 floats do not fit, multilevel is all there is.
ExactAlgorithm plan_exact(const Problem& problem) {
  constexpr std::int64_t kLeast = 128, kScreenedFrom = 200, kFewDimensions = 3, kScreenedBelow = 2048;
  const std::int64_t n = problem.n(), d = problem.dimension();
  if (problem.has_matrix || n != problem.m() || d == 0 || n < kLeast) return ExactAlgorithm::dense;
  if (n > kMostStored / n) return ExactAlgorithm::multilevel;
  if (!ScreenedAssignment::takes(problem)) {
    constexpr std::int64_t kRowsPerDimension = 40;
    return d * kRowsPerDimension <= n ? ExactAlgorithm::multilevel : ExactAlgorithm::dense;
  }
  if (d <= kFewDimensions)
    return n >= kScreenedFrom && n < kScreenedBelow ? ExactAlgorithm::screened : ExactAlgorithm::multilevel;
  return n >= kScreenedFrom ? ExactAlgorithm::screened : ExactAlgorithm::dense;
}

struct ExactWorkspace::State {
  HostVector<Scratch> scratch;     // one a thread
  HostVector<Assignment> results;  // of the trainer's form
  HostVector<Problem> problems;    // likewise
};

ExactWorkspace::ExactWorkspace() : state_(std::make_unique<State>()) {}
ExactWorkspace::~ExactWorkspace() = default;
ExactWorkspace::ExactWorkspace(ExactWorkspace&&) noexcept = default;
ExactWorkspace& ExactWorkspace::operator=(ExactWorkspace&&) noexcept = default;

void solve_exact(const Problem& problem, const ExactOptions& options, ExactWorkspace& workspace, Assignment& result) {
  auto& scratch = workspace.state().scratch;
  naming_memory([&] { return "the exact assignment of " + describe(problem); },
                [&] {
                  if (scratch.empty()) scratch.resize(1);
                });
  const SolveLimits limits(options.max_iterations, options.max_seconds, &options.watch);
  solve_one(problem, options, limits, scratch[0], result);
}

Assignment solve_exact(const Problem& problem, const ExactOptions& options) {
  ExactWorkspace workspace;
  Assignment result;
  solve_exact(problem, options, workspace, result);
  return result;
}

void solve_exact_batch(std::span<const Problem> problems, const ExactOptions& options, ExactWorkspace& workspace,
                       std::span<Assignment> results) {
  ExactOptions each = options;
  each.threads = 1;
  const SolveLimits limits(options.max_iterations, options.max_seconds, &options.watch);
  solve_batch("solve_exact_batch", problems, results, options.threads, workspace.state().scratch,
              [&](const Problem& problem, Scratch& scratch, Assignment& result) {
                solve_one(problem, each, limits.remaining(0), scratch, result);
              });
}

void solve_exact_batch(View<const float> source, View<const float> target, View<std::int64_t> sigma,
                       ExactWorkspace& workspace) {
  const bool fits = source.rank == 3 && same_shape(source, target) && sigma.rank == 2 &&
                    sigma.shape[0] == source.shape[0] && sigma.shape[1] == source.shape[1] && source.contiguous() &&
                    target.contiguous() && sigma.contiguous();
  if (!fits)
    throw InputError(
        fmt::format("solve_exact_batch: source {}, target {}, sigma {}: wanted contiguous [B, n, d], "
                    "[B, n, d], [B, n]",
                    describe(source), describe(target), describe(sigma)));
  const std::int64_t batch = source.shape[0], n = source.shape[1], d = source.shape[2];
  auto& state = workspace.state();
  naming_memory([&] { return fmt::format("a batch of {} problems", batch); },
                [&] {
                  const auto count = static_cast<std::size_t>(batch);
                  state.problems.clear();
                  state.problems.reserve(count);
                  if (state.results.size() < count) state.results.resize(count);
                });
  for (std::int64_t b = 0; b < batch; ++b)
    state.problems.push_back(Problem::from_points(View<const float>(source.data + b * n * d, {n, d}),
                                                  View<const float>(target.data + b * n * d, {n, d})));
  ExactOptions options;
  options.certify = false;
  const std::span<Assignment> results(state.results.data(), static_cast<std::size_t>(batch));
  solve_exact_batch(state.problems, options, workspace, results);
  for (std::int64_t b = 0; b < batch; ++b)
    std::copy_n(results[static_cast<std::size_t>(b)].sigma.data(), n, sigma.data + b * n);
}

}  // namespace otnfm
