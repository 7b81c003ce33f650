#include "ot/auction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/error.h"
#include "ot/certificate.h"
#include "ot/cost_columns.h"
#include "ot/exact.h"
#include "ot/list_auction.h"
#include "ot/multilevel.h"
#include "ot/short_list_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

constexpr std::int64_t kListLength = 40;
constexpr int kPhases = 4;
constexpr double kExactBelow = 4503599627370496.0;  // 2^52

// What one thread needs to solve one problem.
struct Scratch {
  CostColumns costs;
  ShortListAssignment assignment;
  MultilevelAssignment multilevel;
  std::vector<double> g;
};

struct Range {
  std::int64_t least = 0;
  double width = 0;
};

Range range_of_whole_costs(const Problem& problem) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max(), greatest = std::numeric_limits<std::int64_t>::min();
  const auto scan = [&](const auto* costs) {
    for (std::int64_t i = 0; i < problem.n(); ++i)
      for (std::int64_t j = 0; j < problem.m(); ++j) {
        const std::int64_t c = costs[i * problem.costs.row_stride + j];
        least = std::min(least, c);
        greatest = std::max(greatest, c);
      }
  };
  if (problem.dtype() == DType::int32)
    scan(static_cast<const std::int32_t*>(problem.costs.data));
  else
    scan(static_cast<const std::int64_t*>(problem.costs.data));
  return {least, static_cast<double>(static_cast<__int128>(greatest) - least)};
}

// Potentials of whole costs, optimal within less than 1 / n, made whole and optimal: the fractions of n potentials
// leave a gap of 1 / n or more somewhere on the circle, more than epsilon, and cutting there, g_k - g_j <= C_ik - C_ij
// + epsilon keeps to whole numbers what it said. Returns what 0 becomes.
double make_whole(std::span<double> g) {
  std::vector<double> fractions;
  for (const double value : g) fractions.push_back(value - std::floor(value));
  std::sort(fractions.begin(), fractions.end());
  double cut = fractions.front(), widest = 1 - fractions.back() + fractions.front();
  for (std::size_t k = 1; k < fractions.size(); ++k)
    if (const double gap = fractions[k] - fractions[k - 1]; gap > widest) {
      widest = gap;
      cut = fractions[k];
    }
  for (double& value : g) value = std::floor(value - cut);
  return std::floor(0 - cut);
}

// `zero` is what potentials of free columns have become, `shift` what was taken off the costs.
void store(const ShortListAssignment& solved, bool exchanged, double zero, double shift, Assignment& result) {
  const auto column_of = solved.column_of();
  for (std::size_t i = 0; i < column_of.size(); ++i) {
    if (column_of[i] < 0) continue;
    if (exchanged)
      result.sigma[static_cast<std::size_t>(column_of[i])] = static_cast<std::int64_t>(i);
    else
      result.sigma[i] = column_of[i];
  }
  std::vector<double>& u = exchanged ? result.g : result.f;
  std::vector<double>& v = exchanged ? result.f : result.g;
  for (std::size_t i = 0; i < u.size(); ++i) u[i] = solved.f()[i] + zero + shift;
  for (std::size_t j = 0; j < v.size(); ++j) v[j] = solved.g()[j] - zero;
}

// The exact solver, for what an auction in double cannot decide.
void solve_by_paths(const Problem& problem, const AuctionOptions& options, const SolveLimits& limits,
                    Assignment& result) {
  ExactWorkspace workspace;
  ExactOptions exact;
  exact.algorithm = ExactAlgorithm::dense;
  exact.certify = exact.check_input = false;
  exact.threads = options.threads;
  const std::int64_t before = result.iterations;
  exact.max_iterations = limits.remaining(before).iterations();
  exact.max_seconds = std::max(0.0, options.max_seconds - limits.seconds());
  solve_exact(problem, exact, workspace, result);
  result.iterations += before;
  result.algorithm = "auction, then shortest paths";
}

void solve_lists(const Problem& problem, const AuctionOptions& options, const SolveLimits& limits, Scratch& scratch,
                 Assignment& result) {
  const bool exchanged = problem.n() > problem.m(), whole = problem.integral();
  const auto rows = static_cast<double>(std::min(problem.n(), problem.m()));
  const bool square = problem.n() == problem.m();
  const Range range = whole ? range_of_whole_costs(problem) : Range{};
  AuctionPlan plan{.max_gap = options.max_gap, .phases = kPhases};
  if (whole) {
    plan.unit = std::exp2(-std::ceil(std::log2(rows + 1)));
    if (range.width >= kExactBelow * plan.unit / 8) return solve_by_paths(problem, options, limits, result);
  }
  scratch.costs.reset(problem, exchanged, range.least, options.threads);
  std::vector<double>& g = scratch.g;
  g.assign(static_cast<std::size_t>(scratch.costs.columns()), 0.0);
  if (square && !options.warm_start.empty())
    std::transform(options.warm_start.begin(), options.warm_start.end(), g.begin(), [&](double value) {
      return whole ? plan.unit * std::round(std::clamp(value, -range.width, range.width) / plan.unit) : value;
    });
  scratch.costs.use(g);
  ShortListAssignment& assignment = scratch.assignment;
  const auto begin = [&] {
    assignment.reset(scratch.costs.rows(), g, scratch.costs, kListLength);
    return scratch.costs.list_all(assignment, kListLength);
  };
  plan.first_epsilon = begin();
  if (!square) plan.first_epsilon = plan.max_gap * std::fabs(assignment.bounds().dual) / rows;
  if (whole) plan.first_epsilon = std::max(plan.unit, plan.first_epsilon);
  AuctionEnd end = run_auction(assignment, plan, limits);
  result.iterations = assignment.bids();
  const auto largest = [&] {
    double size = 0;
    for (const double value : g) size = std::max(size, std::fabs(value));
    return size;
  };
  if (end == AuctionEnd::left_over) {
    if (!square) {
      std::fill(g.begin(), g.end(), 0.0);
      begin();
    }
    const SolveLimits rest = limits.remaining(result.iterations);
    assignment.initialise(rest);
    if (!assignment.solve(rest)) end = AuctionEnd::limit;
    result.iterations += assignment.paths();
    // Potentials that dwarf what is to be decided, as forbidden pairs and costs of many magnitudes make them, round it
    // away. From potentials of 0 the paths need none that large.
    const ShortListAssignment::Bounds bounds = assignment.bounds();
    const double allowed = std::max(options.max_gap, 1e-9) * std::fabs(bounds.primal);
    const bool rounded = whole ? largest() >= kExactBelow * plan.unit : bounds.primal - bounds.dual > allowed;
    if (rounded && end != AuctionEnd::limit) return solve_by_paths(problem, options, limits, result);
  } else if (whole && largest() >= kExactBelow * plan.unit) {
    return solve_by_paths(problem, options, limits, result);
  }
  if (end == AuctionEnd::limit) result.status = SolveStatus::iteration_limit;
  double zero = 0;
  if (whole && (end == AuctionEnd::within_unit || end == AuctionEnd::left_over)) {
    zero = make_whole(g);
    assignment.bounds();
  }
  store(assignment, exchanged, zero, static_cast<double>(range.least), result);
}

void solve_one(const Problem& problem, const AuctionOptions& options, Scratch& scratch, Assignment& result) {
  const std::int64_t n = problem.n(), m = problem.m();
  if (options.check_input) check_finite(problem);
  if (!(options.max_gap >= 0)) throw InputError(fmt::format("max_gap is {}: it must not be negative", options.max_gap));
  if (!options.warm_start.empty() && static_cast<std::int64_t>(options.warm_start.size()) != m)
    throw InputError(fmt::format("warm_start has {} entries for {} columns", options.warm_start.size(), m));
  for (const double value : options.warm_start)
    if (!std::isfinite(value)) throw InputError(fmt::format("warm_start has an entry that is {}", value));
  const SolveLimits limits(options.max_iterations, options.max_seconds, &options.watch);
  result.sigma.assign(static_cast<std::size_t>(n), -1);
  result.f.assign(static_cast<std::size_t>(n), 0.0);
  result.g.assign(static_cast<std::size_t>(m), 0.0);
  result.certificate = {};
  result.iterations = 0;
  result.status = SolveStatus::converged;
  result.algorithm = "auction";
  if (n > 0 && m > 0) {
    if (plan_exact(problem) == ExactAlgorithm::multilevel) {
      result.algorithm = "auction, multilevel";
      scratch.multilevel.solve_to_gap(problem, options.max_gap, options.warm_start, limits, options.threads, result);
    } else {
      solve_lists(problem, options, limits, scratch, result);
    }
  }
  result.seconds = limits.seconds();
  if (options.certify) result.certificate = certify(problem, result.sigma, result.g, options.threads);
}

}  // namespace

struct AuctionWorkspace::State {
  std::vector<Scratch> scratch;            // one a thread
  std::vector<std::exception_ptr> errors;  // one a problem
};

AuctionWorkspace::AuctionWorkspace() : state_(std::make_unique<State>()) {}
AuctionWorkspace::~AuctionWorkspace() = default;
AuctionWorkspace::AuctionWorkspace(AuctionWorkspace&&) noexcept = default;
AuctionWorkspace& AuctionWorkspace::operator=(AuctionWorkspace&&) noexcept = default;

void solve_auction(const Problem& problem, const AuctionOptions& options, AuctionWorkspace& workspace,
                   Assignment& result) {
  auto& scratch = workspace.state().scratch;
  if (scratch.empty()) scratch.resize(1);
  solve_one(problem, options, scratch[0], result);
}

Assignment solve_auction(const Problem& problem, const AuctionOptions& options) {
  AuctionWorkspace workspace;
  Assignment result;
  solve_auction(problem, options, workspace, result);
  return result;
}

void solve_auction_batch(std::span<const Problem> problems, const AuctionOptions& options, AuctionWorkspace& workspace,
                         std::span<Assignment> results) {
  if (problems.size() != results.size())
    throw InputError(
        fmt::format("solve_auction_batch: {} problems, but room for {} results", problems.size(), results.size()));
  const auto count = static_cast<std::int64_t>(problems.size());
  const int threads = options.threads > 0 ? options.threads : cpu::thread_count();
  auto& state = workspace.state();
  if (state.scratch.size() < static_cast<std::size_t>(threads)) state.scratch.resize(static_cast<std::size_t>(threads));
  state.errors.assign(problems.size(), nullptr);
  AuctionOptions each = options;
  each.threads = 1;
  each.watch = {};
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1 && count > 1)
  for (std::int64_t b = 0; b < count; ++b) {
    const auto index = static_cast<std::size_t>(b);
#if defined(_OPENMP)
    const auto thread = static_cast<std::size_t>(omp_get_thread_num());
#else
    const std::size_t thread = 0;
#endif
    try {
      solve_one(problems[index], each, state.scratch[thread], results[index]);
    } catch (...) {
      state.errors[index] = std::current_exception();
    }
  }
  for (const std::exception_ptr& error : state.errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace otnfm
