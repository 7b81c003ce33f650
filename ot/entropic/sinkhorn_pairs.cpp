// Pairs from the plan of the last solve, and what only needs the problem and g: c-transform, bound, spread of costs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "kernels/device/philox.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/certificate.h"
#include "ot/costs/cost_columns.h"
#include "ot/costs/pair_cost.h"
#include "ot/costs/row_minima.h"
#include "ot/costs/screened_columns.h"
#include "ot/costs/widen.h"
#include "ot/entropic/plan_certificate.h"
#include "ot/entropic/sinkhorn_state.h"
#include "ot/matching/short_list_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

constexpr std::uint32_t kSampleStream = 0x51a4, kSpreadStream = 0x5b7ead;  // of Philox
constexpr std::int64_t kFewestPairs = 4096, kMostPairs = 16384;            // looked at for a spread
constexpr std::int64_t kRoundedList = 24;
// Auction phases before augmenting paths, from this part of Sinkhorn's epsilon down.
constexpr double kFirstPhase = 0.5, kPhaseRatio = 0.2;
constexpr int kPhases = 3;
constexpr double kRoundingGap = 1e-9;  // what an optimal pairing may be off by the rounding of its potentials

void check_length(std::span<const double> g, std::int64_t m) {
  if (g.size() != static_cast<std::size_t>(m))
    throw InputError(fmt::format("g has {} entries for {} columns", g.size(), m));
}

SinkhornSolver::State& solved(SinkhornSolver::State& state) {
  if (!state.solved && !state.stopped)
    throw InputError("no plan: solve() has not been called, or ended in a numerical failure");
  return state;
}

std::string pairs_of_plan(const SinkhornSolver::State& state) {
  return "the pairs of the Sinkhorn plan of " + describe(state.problem);
}

// With every row unmatched and the g of the scaled problem. The plan's f is not feasible; one that is has to be found.
Assignment no_pairs(const SinkhornSolver::State& state, const char* algorithm) {
  Assignment result;
  assign_result(result.sigma, state.problem.n(), std::int64_t{-1});
  assign_result(result.f, state.problem.n(), -std::numeric_limits<double>::infinity());
  assign_result(result.g, state.g);
  result.algorithm = algorithm;
  if (!state.solved) result.status = state.status;
  return result;
}

// min_j (C_ij - g_j) of every row, over columns with g_j > -infinity. Throws SolveStopped where `limits` (null: none)
// are overdue.
std::vector<double> row_minima(const Problem& problem, std::span<const double> g, const SolveLimits* limits) {
  constexpr std::int64_t kTile = RowMinima::kTile;
  const std::int64_t n = problem.n(), tiles = (n + kTile - 1) / kTile;
  std::vector<double> f;
  assign_result(f, n, 0.0);
  if (n == 0 || problem.m() == 0) return f;
  const RowMinima rows(problem, g);
  const SharedLimits shared(limits);
  host::parallel_ranges(
      tiles, std::max<std::int64_t>(1, 8 * host::kElementGrain / (kTile * problem.m())),
      [&](std::int64_t begin, std::int64_t end) {
        RowMinima::Scratch scratch;
        if (limits != nullptr) scratch.stop = [&] { return limits->overdue(); };
        for (std::int64_t tile = begin; tile < end; ++tile) {
          shared.check();
          if (!rows.find(tile * kTile, std::min(n, (tile + 1) * kTile), f.data() + tile * kTile, scratch))
            throw SolveStopped();
        }
      });
  return f;
}

// f of the scaled problem, feasible for result.g.
void transform(const Problem& problem, const SolveLimits* limits, Assignment& result) {
  try {
    assign_result(result.f, row_minima(problem, result.g, limits));
  } catch (const SolveStopped&) {
    result.status = limits->status();
  }
}

// The certificate where it is asked for, and everything in the units of the problem given.
void finish_pairs(const SinkhornSolver::State& state, bool with_certificate, const SolveLimits* limits,
                  Assignment& result) {
  if (with_certificate) {
    result.certificate = limits == nullptr ? certify(state.problem, result.sigma, result.g, state.threads)
                                           : certify(state.problem, result.sigma, result.g, *limits, state.threads);
    if (result.certificate.proven_rows < state.problem.n() && result.status == SolveStatus::converged)
      result.status = limits->status();
    result.certificate.primal_cost = state.scaled.back(result.certificate.primal_cost);
    result.certificate.dual_bound = state.scaled.back(result.certificate.dual_bound);
  }
  state.scaled.back(result.f);
  state.scaled.back(result.g);
}

CostSpread spread_of_costs(const Problem& problem) {
  const std::int64_t n = problem.n(), m = problem.m();
  CostSpread spread;
  const bool all = n <= kFewestPairs / m;
  const std::int64_t count = all ? n * m : n > kMostPairs / m * 16 ? kMostPairs : std::max(kFewestPairs, n * m / 16);
  HostVector<double> values(static_cast<std::size_t>(count));
  host::parallel_ranges(count, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t pair = begin; pair < end; ++pair) {
      std::int64_t i = pair / m, j = pair % m;
      if (!all) {
        // Rows in turn, so that the memory is read in order; columns at random.
        const PhiloxWords words = random_words(0, kSpreadStream, 0, static_cast<std::uint64_t>(pair));
        i = n >= count ? pair * (n / count) : pair * n / count;
        j = static_cast<std::int64_t>((std::uint64_t{words.word[0]} * static_cast<std::uint64_t>(m)) >> 32);
      }
      values[static_cast<std::size_t>(pair)] = pair_cost(problem, i, j);
    }
  });
  std::erase_if(values, [](double value) { return !std::isfinite(value); });  // forbidden pairs
  if (values.empty()) return spread;
  double mean = 0, largest = 0;
  const double part = 1 / static_cast<double>(values.size());
  for (const double value : values) {
    mean += value * part;
    spread.mean_size += std::fabs(value) * part;
    largest = std::max(largest, std::fabs(value));
  }
  if (largest == 0) return spread;
  const auto median = [&] {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
  };
  double square = 0;
  for (const double value : values) {
    const double deviation = value / largest - mean / largest;
    square += deviation * deviation;
  }
  const double relative = std::sqrt(square * part);
  spread.standard_deviation = relative > 1e-12 ? relative * largest : 0;  // else rounding of the mean
  spread.median = median();
  for (double& value : values) value = std::fabs(value - spread.median);
  spread.median_deviation = median();
  return spread;
}

}  // namespace

CostSpread cost_spread(const Problem& problem) {
  if (problem.n() == 0 || problem.m() == 0) return {};
  return naming_memory([&] { return "the spread of " + describe(problem); }, [&] { return spread_of_costs(problem); });
}

std::vector<double> c_transform(const Problem& problem, std::span<const double> g) {
  check_length(g, problem.m());
  return naming_memory([&] { return "the c-transform of " + describe(problem); },
                       [&] { return row_minima(problem, g, nullptr); });
}

double transport_dual_bound(const Problem& problem, std::span<const double> g, std::span<const double> source_weights,
                            std::span<const double> target_weights, const SolveLimits* limits) {
  struct Mean {
    long double value = 0, size = 0;  // of the entries, and of their sizes
  };
  const auto mean = [](std::span<const double> values, std::span<const double> weights) {
    Mean sum;
    long double mass = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const long double weight = weights.empty() ? 1 : weights[i];
      if (weight == 0) continue;
      sum.value += weight * values[i];
      sum.size += weight * std::fabs(values[i]);
      mass += weight;
    }
    return mass > 0 ? Mean{sum.value / mass, sum.size / mass} : Mean{};
  };
  // C - g is rounded once, the sums and their terms to a long double's last place: together less than this.
  constexpr long double kRounding = 4 * std::numeric_limits<double>::epsilon();
  const auto check_weights = [](std::span<const double> weights, std::int64_t count, const char* name) {
    if (!weights.empty() && weights.size() != static_cast<std::size_t>(count))
      throw InputError(fmt::format("{} has {} entries for {} points", name, weights.size(), count));
  };
  check_length(g, problem.m());
  check_weights(source_weights, problem.n(), "source_weights");
  check_weights(target_weights, problem.m(), "target_weights");
  if (problem.n() == 0 || problem.m() == 0) return 0;
  return naming_memory(
      [&] { return "the c-transform of " + describe(problem); },
      [&] {
        // A column that takes no mass binds no row: its potential may be as low as one likes.
        HostVector<double> binding(g.begin(), g.end());
        for (std::size_t j = 0; j < target_weights.size(); ++j)
          if (target_weights[j] == 0) binding[j] = -std::numeric_limits<double>::infinity();
        try {
          const Mean rows = mean(row_minima(problem, binding, limits), source_weights),
                     columns = mean(g, target_weights);
          const long double size = rows.size + columns.size;
          return rounded_down(rows.value + columns.value - (std::isfinite(size) ? size * kRounding : 0));
        } catch (const SolveStopped&) {
          return std::numeric_limits<double>::quiet_NaN();
        }
      });
}

bool SinkhornSolver::has_plan() const {
  return state_->solved;
}

bool SinkhornSolver::stored() const {
  return state_->exponents.stored();
}

Certificate SinkhornSolver::certify_plan(const SolveLimits* limits) {
  const State& state = solved(*state_);
  const host::ThreadLimit thread_limit(state.threads);
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  Certificate certificate{.primal_cost = kUnknown, .dual_bound = kUnknown, .gap = kUnknown, .is_permutation = false};
  if (!state.solved || state.free) return certificate;
  try {
    certificate = naming_memory([&] { return "the certificate of the Sinkhorn plan of " + describe(state.problem); },
                                [&] {
                                  return otnfm::certify_plan({.problem = state.problem,
                                                              .a = state.a,
                                                              .b = state.b,
                                                              .f = state.f,
                                                              .g = state.g,
                                                              .epsilon = state.epsilon / state.ratio},
                                                             limits);
                                });
  } catch (const SolveStopped&) {
    return certificate;
  }
  certificate.primal_cost = state.scaled.back(certificate.primal_cost);
  certificate.dual_bound = state.scaled.back(certificate.dual_bound);
  return certificate;
}

Assignment SinkhornSolver::argmax_pairs(bool certify, const SolveLimits* limits) {
  const State& state = solved(*state_);
  const host::ThreadLimit thread_limit(state.threads);
  return naming_memory([&] { return pairs_of_plan(state); },
                       [&] {
                         Assignment result = no_pairs(state, "sinkhorn, argmax");
                         if (!state.a.empty() && state.solved)
                           std::copy(state.argmax.begin(), state.argmax.end(), result.sigma.begin());
                         if (certify) transform(state.problem, limits, result);
                         finish_pairs(state, certify, limits, result);
                         return result;
                       });
}

Assignment SinkhornSolver::sample_pairs(std::uint64_t seed, std::uint64_t step, bool certify,
                                        const SolveLimits* limits) {
  State& state = solved(*state_);
  const host::ThreadLimit thread_limit(state.threads);
  return naming_memory([&] { return pairs_of_plan(state); },
                       [&] {
                         Assignment result = no_pairs(state, "sinkhorn, sampled");
                         if (!state.a.empty() && state.solved) {
                           HostVector<float> uniform(result.sigma.size());
                           for (std::size_t i = 0; i < uniform.size(); ++i)
                             uniform[i] = uniform_of(random_words(seed, kSampleStream, step, i).word[0]);
                           try {
                             state.pass.sample(state.exponents, state.ratio, state.u, state.v, uniform, result.sigma,
                                               limits);
                           } catch (const SolveStopped&) {
                             result.status = limits->status();
                             std::ranges::fill(result.sigma, -1);
                           }
                         }
                         if (certify) transform(state.problem, limits, result);
                         finish_pairs(state, certify, limits, result);
                         return result;
                       });
}

namespace {

// Mean cost of the lists' matches, NaN where a row has none.
double mean_cost(const SinkhornSolver::State& state) {
  const std::span<const std::int32_t> column_of = state.lists.column_of();
  double sum = 0;
  for (std::size_t i = 0; i < column_of.size(); ++i) {
    if (column_of[i] < 0) return std::numeric_limits<double>::quiet_NaN();
    sum += pair_cost(state.problem, static_cast<std::int64_t>(i), column_of[i]);
  }
  return sum / static_cast<double>(column_of.size());
}

// An auction from the plan's potentials until it is within the gap, or else shortest augmenting paths. True where the
// auction came within the gap: then the lists' f is feasible only up to its epsilon.
bool round_lists(SinkhornSolver::State& state, double max_gap, const SolveLimits& limits, Assignment& result) {
  ShortListAssignment& assignment = state.lists;
  // An auction that matches every row within e is within e of the optimal mean. It aims at half of the gap, since the
  // cost that the gap is relative to changes from phase to phase; before the first phase that is the plan's cost.
  const double first = kFirstPhase * std::min(state.epsilon, state.spread > 0 ? state.spread : state.epsilon);
  double epsilon = std::max(0.5 * max_gap * std::fabs(state.transport_cost), first);
  for (int phase = 0; max_gap > 0 && phase < kPhases; ++phase) {
    assignment.auction(epsilon, limits);
    const double cost = mean_cost(state), wanted = std::isnan(cost) ? 0 : max_gap * std::fabs(cost);
    if (epsilon <= wanted) return true;
    epsilon = std::max(0.5 * wanted, epsilon * kPhaseRatio);
  }
  assignment.initialise(limits);
  if (!assignment.solve(limits)) result.status = limits.status();
  return false;
}

Assignment round(SinkhornSolver::State& state, double max_gap, const SolveLimits& limits, std::int64_t budget) {
  Assignment result = no_pairs(state, "sinkhorn, rounded");
  const std::int64_t n = state.problem.n(), m = state.problem.m();
  if (n == 0 || !state.solved) return result;
  ShortListAssignment& assignment = state.lists;
  const std::int64_t k = std::min(m, std::max<std::int64_t>(2, kRoundedList));
  ScreenedColumns screened(state.problem, state.exponents, result.g);
  CostColumns whole;
  const auto from_all_costs = [&] {
    whole.reset(state.problem, false, 0, state.threads);
    whole.use(result.g);
    assignment.reset(n, result.g, whole, k);
    assignment.set_budget(budget);
    whole.list_all(assignment, k, &limits);
  };
  if (state.exponents.stored() && !state.forbids) {
    assignment.reset(n, result.g, screened, k);
    assignment.set_budget(budget);
    screened.list_all(assignment, k, state.threads, &limits);
  } else {
    from_all_costs();
  }
  bool within = round_lists(state, max_gap, limits, result);
  // Where potentials are very large (beside costs that forbid a pair, or from a plan far from convergence), differences
  // of small costs are lost in their rounding. Then the solve starts again from potentials of 0, which stay small.
  const auto lost = [&] {
    const double size = largest_size(result.g) + largest_size(assignment.f());
    return !(std::ldexp(size, -52) <= 0.1 * std::max(max_gap, kRoundingGap) * std::fabs(mean_cost(state)));
  };
  if (result.status == SolveStatus::converged && lost()) {
    result.g.assign(result.g.size(), 0.0);
    from_all_costs();
    within = false;
    assignment.initialise(limits);
    if (!assignment.solve(limits)) result.status = limits.status();
  }
  if (assignment.over_budget()) result.status = SolveStatus::numerical_failure;
  result.iterations = assignment.paths();
  result.sigma.assign(assignment.column_of().begin(), assignment.column_of().end());
  result.seconds = limits.seconds();
  if (within)
    transform(state.problem, &limits, result);
  else
    assign_result(result.f, assignment.f());
  return result;
}

}  // namespace

Assignment SinkhornSolver::round_to_permutation(double max_gap, double max_seconds, bool certify) {
  return round_to_permutation(max_gap, SolveLimits(std::numeric_limits<std::int64_t>::max(), max_seconds), certify);
}

Assignment SinkhornSolver::round_to_permutation(double max_gap, const SolveLimits& limits, bool certify,
                                                std::int64_t budget) {
  State& state = solved(*state_);
  const host::ThreadLimit thread_limit(state.threads);
  const std::int64_t n = state.problem.n(), m = state.problem.m();
  if (n != m || !state.uniform)
    throw InputError(fmt::format("a permutation takes as many rows as columns, each of the same mass, not {}{}",
                                 describe(state.problem), n == m ? " with marginals" : ""));
  if (!(max_gap >= 0)) throw InputError(fmt::format("max_gap is {}: it must not be negative", max_gap));
  Assignment result = naming_memory([&] { return pairs_of_plan(state); },
                                    [&] {
                                      try {
                                        return round(state, max_gap, limits, budget);
                                      } catch (const SolveStopped&) {
                                        Assignment none = no_pairs(state, "sinkhorn, rounded");
                                        none.status = limits.status();
                                        return none;
                                      }
                                    });
  finish_pairs(state, certify && n > 0, &limits, result);
  return result;
}

}  // namespace otnfm
