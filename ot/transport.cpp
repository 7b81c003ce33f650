#include "ot/transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/pair_cost.h"
#include "ot/costs/scaled_problem.h"
#include "ot/matching/transport_simplex.h"
#include "ot/sinkhorn.h"

namespace otnfm {
namespace {

constexpr double kSumsAgree = 1e-6;
constexpr double kForbiddenMass = 1e-12;  // of the whole, below which it is rounding
constexpr double kMassRounding = std::numeric_limits<double>::epsilon();
constexpr double kRoundingGap = 1e-9;  // that an optimal plan may show
// Of the plan whose potentials the simplex starts from, found by measurement.
constexpr double kEpsilon = 0.02, kTolerance = 1e-2;
constexpr double kStartShare = 0.25;
constexpr std::int64_t kSweeps = 60, kFewPairs = 64 * 64;

double sum_of(std::span<const double> weights, const char* name) {
  long double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] >= 0 && weights[i] < std::numeric_limits<double>::infinity()))
      throw InputError(fmt::format("{} holds {} at [{}]; weights are finite and not negative", name, weights[i], i));
    sum += weights[i];
  }
  const auto total = static_cast<double>(sum);
  if (!weights.empty() && !(total > 0 && total < std::numeric_limits<double>::infinity()))
    throw InputError(fmt::format("{} sums to {}; it must be positive and finite", name, total));
  return total;
}

/// Both sides' masses, of sum 1.
struct Masses {
  HostVector<double> a, b;
  double total = 1;

  Masses(const Problem& problem, std::span<const double> source, std::span<const double> target) {
    const auto check_length = [](std::span<const double> weights, std::int64_t count, const char* name) {
      if (!weights.empty() && weights.size() != static_cast<std::size_t>(count))
        throw InputError(fmt::format("{} has {} entries for {} points", name, weights.size(), count));
    };
    check_length(source, problem.n(), "source_weights");
    check_length(target, problem.m(), "target_weights");
    const double source_sum = sum_of(source, "source_weights"), target_sum = sum_of(target, "target_weights");
    if (!source.empty() && !target.empty() && !(std::fabs(source_sum - target_sum) <= kSumsAgree * source_sum))
      throw InputError(fmt::format("source_weights sums to {:.9g} and target_weights to {:.9g}: they must be the same",
                                   source_sum, target_sum));
    total = !source.empty() ? source_sum : !target.empty() ? target_sum : 1;
    a = scaled(source, source_sum, problem.n());
    b = scaled(target, target_sum, problem.m());
  }

 private:
  static HostVector<double> scaled(std::span<const double> weights, double sum, std::int64_t count) {
    if (weights.empty()) return HostVector<double>(static_cast<std::size_t>(count), 1.0 / static_cast<double>(count));
    HostVector<double> out(weights.begin(), weights.end());
    for (double& value : out) value /= sum;
    return out;
  }
};

// Column potentials to start from: Sinkhorn's, or none where so few pairs are sooner solved.
std::vector<double> first_potentials(const Problem& problem, const Masses& masses, const TransportOptions& options,
                                     const SolveLimits& limits) {
  std::vector<double> none(static_cast<std::size_t>(problem.m()), 0.0);
  if (problem.n() <= kFewPairs / problem.m()) return none;
  // Of limited time a part, and the simplex has the rest.
  const SolveLimits share = limits.until(limits.seconds() + kStartShare * limits.seconds_left());
  SinkhornResult plan = solve_sinkhorn(problem, {.epsilon = kEpsilon,
                                                 .tolerance = kTolerance,
                                                 .source_weights = masses.a,
                                                 .target_weights = masses.b,
                                                 .max_iterations = kSweeps,
                                                 .most_bytes = options.most_bytes,
                                                 .threads = options.threads,
                                                 .limits = &share,
                                                 .check_input = false});
  if (plan.status == SolveStatus::numerical_failure || std::isnan(plan.transport_cost)) return none;
  return std::move(plan.g);
}

// f_i + g_j <= C_ij at every pair, rows and columns without mass included, from what the simplex has for the others:
// theirs are as large as that allows; -infinity where a limit came first.
void complete_potentials(const Problem& problem, const Masses& masses, const SolveLimits& limits, Transport& result) {
  const auto a = std::span<const double>(masses.a), b = std::span<const double>(masses.b);
  const bool whole = std::ranges::find(a, 0.0) == a.end() && std::ranges::find(b, 0.0) == b.end();
  if (whole) return;
  const auto least = [&](bool row, std::int64_t index) {
    double lowest = std::numeric_limits<double>::infinity();
    const std::int64_t count = row ? problem.m() : problem.n();
    for (std::int64_t k = 0; k < count; ++k) {
      const auto other = static_cast<std::size_t>(k);
      if (row && b[other] == 0) continue;
      lowest = std::min(lowest, row ? pair_cost(problem, index, k) - result.g[other]
                                    : pair_cost(problem, k, index) - result.f[other]);
    }
    return std::isfinite(lowest) ? lowest : 0;
  };
  const auto complete = [&](bool row, std::span<const double> mass, std::vector<double>& potentials) {
    const std::int64_t others = row ? problem.m() : problem.n();
    host::parallel_rows(row ? problem.n() : problem.m(), others, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        if (mass[static_cast<std::size_t>(i)] == 0)
          potentials[static_cast<std::size_t>(i)] =
              limits.overdue() ? -std::numeric_limits<double>::infinity() : least(row, i);
    });
  };
  complete(true, a, result.f);
  complete(false, b, result.g);
}

// What the rounding of masses leaves on pairs is not of the plan: all that is on forbidden pairs while it is next to
// nothing, and what is nothing beside both the row's mass and the column's.
void leave_out_rounding(const Problem& problem, const Masses& masses, bool forbids, Transport& result) {
  constexpr double kOfItsRow = 1e-6;
  const auto cost = [&](std::size_t k) { return pair_cost(problem, result.rows[k], result.columns[k]); };
  double forbidden = 0;
  for (std::size_t k = 0; k < result.mass.size(); ++k)
    if (forbids && !std::isfinite(cost(k))) forbidden += result.mass[k];
  std::size_t kept = 0;
  for (std::size_t k = 0; k < result.mass.size(); ++k) {
    const double mass = result.mass[k], least = std::min(masses.a[static_cast<std::size_t>(result.rows[k])],
                                                         masses.b[static_cast<std::size_t>(result.columns[k])]);
    if (mass <= kMassRounding && mass <= kOfItsRow * least) continue;
    if (forbids && forbidden <= kForbiddenMass && !std::isfinite(cost(k))) continue;
    result.rows[kept] = result.rows[k];
    result.columns[kept] = result.columns[k];
    result.mass[kept++] = mass;
  }
  result.rows.resize(kept);
  result.columns.resize(kept);
  result.mass.resize(kept);
}

// Shares nothing with the simplex but the problem.
void certify_transport(const Problem& problem, const Masses& masses, std::span<const double> first_g, bool prove,
                       const SolveLimits& limits, Transport& result) {
  const double began = limits.seconds();
  long double primal = 0, size = 0, unit_size = 0;  // of the costs, of their sizes by mass, and each once
  HostVector<double> rows(masses.a.begin(), masses.a.end()), columns(masses.b.begin(), masses.b.end());
  for (std::size_t k = 0; k < result.mass.size(); ++k) {
    const long double cost = pair_cost(problem, result.rows[k], result.columns[k]);
    primal += result.mass[k] * cost;
    size += result.mass[k] * std::fabs(cost);
    unit_size += std::fabs(cost);
    rows[static_cast<std::size_t>(result.rows[k])] -= result.mass[k];
    columns[static_cast<std::size_t>(result.columns[k])] -= result.mass[k];
  }
  result.primal_cost = static_cast<double>(primal);
  result.marginal_error = 0;
  for (const double left : rows) result.marginal_error += std::fabs(left);
  for (const double left : columns) result.marginal_error += std::fabs(left);
  if (!prove) {
    result.dual_bound = result.gap = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  result.dual_bound = transport_dual_bound(problem, result.g, masses.a, masses.b, &limits);
  if (result.status != SolveStatus::converged && !first_g.empty()) {
    // Those that the simplex began with were closer to optimal than those of an unfinished tree may be.
    const double first = transport_dual_bound(problem, first_g, masses.a, masses.b, &limits);
    if (first > result.dual_bound) {
      result.dual_bound = first;
      result.g.assign(first_g.begin(), first_g.end());
    }
  }
  // Distances are above 0, and potentials of 0 prove that nothing costs less than the rows' least.
  if (!problem.has_matrix && problem.cost != Cost::negative_dot) {
    if (result.dual_bound < 0) result.dual_bound = 0;
  } else if (result.dual_bound < 0 && primal >= 0) {
    const HostVector<double> zeros(result.g.size(), 0.0);
    const double plain = transport_dual_bound(problem, zeros, masses.a, masses.b, &limits);
    if (plain > result.dual_bound) result.dual_bound = plain;
  }
  result.certificate_seconds = limits.seconds() - began;
  if (std::isnan(result.dual_bound)) {
    result.gap = result.dual_bound;
    result.status = limits.status();
    return;
  }
  // The same costs, summed in another order.
  result.dual_bound = std::min(result.dual_bound, result.primal_cost);
  const double apart = result.primal_cost - result.dual_bound;
  if (apart > 0 && size == 0) size = least_cost_size(problem, limits);
  const double floor = std::max(std::fabs(result.primal_cost), 1e-12 * static_cast<double>(size));
  result.gap = result.primal_cost == std::numeric_limits<double>::infinity() ? result.primal_cost
               : apart <= 0                                                  ? 0
                                                                             : apart / floor;
  // Optimal potentials prove it to their rounding beside the costs' sizes, and to that of the masses.
  const bool proven =
      result.gap <= kRoundingGap || apart <= static_cast<double>(kRoundingGap * size + 4 * kMassRounding * unit_size);
  const bool is_limit = result.status != SolveStatus::converged && result.status != SolveStatus::numerical_failure;
  if (!is_limit)
    result.status =
        proven && result.marginal_error <= kRoundingGap ? SolveStatus::converged : SolveStatus::numerical_failure;
}

void read_plan(const TransportSimplex& simplex, Transport& result) {
  struct Entry {
    std::int64_t row, column;
    double mass;
  };
  HostVector<Entry> entries;
  simplex.for_pairs([&](std::int64_t i, std::int64_t j, double mass) {
    if (mass > 0) entries.push_back({i, j, mass});
  });
  std::sort(entries.begin(), entries.end(),
            [](const Entry& x, const Entry& y) { return std::tie(x.row, x.column) < std::tie(y.row, y.column); });
  const auto count = static_cast<std::int64_t>(entries.size());
  assign_result(result.rows, count, std::int64_t{0});
  assign_result(result.columns, count, std::int64_t{0});
  assign_result(result.mass, count, 0.0);
  for (std::size_t k = 0; k < entries.size(); ++k) {
    result.rows[k] = entries[k].row;
    result.columns[k] = entries[k].column;
    result.mass[k] = entries[k].mass;
  }
  assign_result(result.f, simplex.u());
  assign_result(result.g, simplex.v());
}

// The plan that takes rows and columns in their order: one without a look at the costs.
void plan_in_order(const Masses& masses, Transport& result) {
  HostVector<double> row_left = masses.a, column_left = masses.b;
  for (std::size_t i = 0, j = 0; i < row_left.size() && j < column_left.size();) {
    const double moved = std::min(row_left[i], column_left[j]);
    if (moved > 0) {
      result.rows.push_back(static_cast<std::int64_t>(i));
      result.columns.push_back(static_cast<std::int64_t>(j));
      result.mass.push_back(moved);
    }
    row_left[i] -= moved;
    column_left[j] -= moved;
    // The last of a side takes what rounding leaves of the other.
    if (i + 1 < row_left.size() && (row_left[i] <= column_left[j] || j + 1 == column_left.size()))
      ++i;
    else
      ++j;
  }
}

// What there is where a limit comes before any other plan.
void stop_in_order(const Problem& problem, const Masses& masses, std::span<const double> g, bool forbids, bool certify,
                   const SolveLimits& limits, Transport& result) {
  result.status = limits.status();
  plan_in_order(masses, result);
  leave_out_rounding(problem, masses, forbids, result);
  result.seconds = limits.seconds();
  certify_transport(problem, masses, g, certify, limits, result);
}

Transport solve_scaled(const Problem& problem, const Masses& masses, bool forbids, const TransportOptions& options,
                       const SolveLimits& limits) {
  Transport result;
  assign_result(result.f, problem.n(), 0.0);
  assign_result(result.g, problem.m(), 0.0);
  TransportSimplex simplex;
  std::vector<double> g;
  try {
    g = first_potentials(problem, masses, options, limits);
    simplex.reset(problem, masses.a, masses.b, options.most_bytes, limits);
    simplex.start(g, limits);
  } catch (const SolveStopped&) {
    stop_in_order(problem, masses, g, forbids, options.certify, limits, result);
    return result;
  }
  if (!simplex.solve(limits))
    result.status = limits.reached(simplex.pivots()) ? limits.status() : SolveStatus::numerical_failure;
  if (forbids && result.status == SolveStatus::converged && simplex.forbidden_mass() > kForbiddenMass)
    throw InputError(fmt::format("{}: every plan needs pairs whose cost is infinite, for {:.3g} of the mass",
                                 describe(problem), simplex.forbidden_mass()));
  result.iterations = simplex.pivots();
  read_plan(simplex, result);
  leave_out_rounding(problem, masses, forbids, result);
  complete_potentials(problem, masses, limits, result);
  result.seconds = limits.seconds();
  certify_transport(problem, masses, g, options.certify, limits, result);
  return result;
}

}  // namespace

Transport solve_transport(const Problem& problem, std::span<const double> source_weights,
                          std::span<const double> target_weights, const TransportOptions& options) {
  if (options.threads < 0) throw InputError(fmt::format("threads is {}: it must not be negative", options.threads));
  const host::ThreadLimit thread_limit(options.threads);
  const SolveLimits limits(options.max_iterations, options.max_seconds, &options.watch);
  const Masses masses(problem, source_weights, target_weights);
  Transport result;
  if (problem.n() == 0 || problem.m() == 0) {
    assign_result(result.f, problem.n(), 0.0);
    assign_result(result.g, problem.m(), 0.0);
    return result;
  }
  ScaledProblem scaled;
  const auto solve = [&]() -> Transport {
    try {
      const bool forbids = options.check_input && check_entries(problem, &limits);
      scaled.reset(problem, &limits);
      return solve_scaled(scaled.problem(), masses, forbids, options, limits);
    } catch (const SolveStopped&) {  // before all entries were seen
      Transport stopped;
      assign_result(stopped.f, problem.n(), 0.0);
      assign_result(stopped.g, problem.m(), 0.0);
      stop_in_order(problem, masses, stopped.g, problem.has_matrix, options.certify, limits, stopped);
      return stopped;
    }
  };
  result = naming_memory([&] { return "the transport plan of " + describe(problem); }, solve);
  scaled.back(result.f);
  scaled.back(result.g);
  result.primal_cost = scaled.back(result.primal_cost);
  result.dual_bound = scaled.back(result.dual_bound);
  result.total_mass = masses.total;
  for (double& mass : result.mass) mass *= masses.total;
  return result;
}

Assignment largest_parts(const Problem& problem, Transport& plan) {
  Assignment pairs;
  assign_result(pairs.sigma, problem.n(), std::int64_t{-1});
  HostVector<double> largest(pairs.sigma.size(), 0.0);
  std::vector<bool> taken(static_cast<std::size_t>(problem.m()), false);
  bool one_to_one = problem.n() == problem.m() && plan.mass.size() == pairs.sigma.size();
  for (std::size_t k = 0; k < plan.mass.size(); ++k) {
    const auto i = static_cast<std::size_t>(plan.rows[k]), j = static_cast<std::size_t>(plan.columns[k]);
    one_to_one = one_to_one && pairs.sigma[i] < 0 && !taken[j];
    taken[j] = true;
    if (plan.mass[k] > largest[i]) {
      largest[i] = plan.mass[k];
      pairs.sigma[i] = plan.columns[k];
    }
  }
  pairs.certificate = {.primal_cost = plan.primal_cost,
                       .dual_bound = plan.dual_bound,
                       .gap = plan.gap,
                       .is_permutation = one_to_one,
                       .proven_rows = std::isnan(plan.dual_bound) ? 0 : problem.n(),
                       .seconds = plan.certificate_seconds};
  pairs.iterations = plan.iterations;
  pairs.seconds = plan.seconds;
  pairs.status = plan.status;
  pairs.algorithm = "network_simplex";
  pairs.f = std::move(plan.f);
  pairs.g = std::move(plan.g);
  return pairs;
}

}  // namespace otnfm
