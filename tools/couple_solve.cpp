#include "tools/couple_solve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "engine/io/array_file.h"
#include "kernels/error.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/device_auction.h"
#include "ot/device_sinkhorn.h"
#include "ot/exact.h"
#include "ot/sinkhorn.h"
#include "ot/sinkhorn_plan.h"
#include "ot/solve_limits.h"
#include "ot/transport.h"

namespace otnfm {
namespace {

// --max-seconds is for all the problems of a stack together.
class TimeOfAll {
 public:
  explicit TimeOfAll(const SolveFlags& flags)
      : limits_(SolveLimits::kNoIterations, flags.max_seconds.value_or(SolveLimits::kNoSeconds)) {}
  /// Negative where it is over, so that the problems left are not given what a limit leaves a solve to come to its end.
  double left() const { return limits_.seconds_left(); }

 private:
  SolveLimits limits_;
};

void refuse(bool given, const char* flag, const SolveFlags& flags, const char* goes_with) {
  if (given) throw InputError(fmt::format("{} goes with --solver {}, not with {}", flag, goes_with, flags.solver));
}

void refuse_sinkhorn_flags(const SolveFlags& flags) {
  refuse(flags.epsilon.has_value(), "--epsilon", flags, "sinkhorn");
  refuse(flags.tolerance.has_value(), "--tolerance", flags, "sinkhorn");
  refuse(flags.marginal_penalty.has_value(), "--marginal-penalty", flags, "sinkhorn");
  refuse(!flags.pairs.empty(), "--pairs", flags, "sinkhorn");
}

std::vector<double> read_warm_start(const std::string& path, const OpenedProblems& opened) {
  if (path.empty()) return {};
  const std::int64_t columns = opened.problems().front().m();
  std::vector<double> potentials = read_vector(path);
  if (static_cast<std::int64_t>(potentials.size()) != columns)
    throw InputError(fmt::format("--warm-start {}: holds {} numbers, wanted {}, a potential a column", path,
                                 potentials.size(), columns));
  return potentials;
}

// The regime of a solver whose planner has these, by name; the first is what it does unless told.
template <class Algorithm>
Algorithm regime_of(const SolveFlags& flags, std::initializer_list<Algorithm> all) {
  std::vector<std::string> names;
  for (const Algorithm algorithm : all) {
    if (flags.regime == name_of(algorithm)) return algorithm;
    names.emplace_back(name_of(algorithm));
  }
  throw InputError(fmt::format("--regime {}: --solver {} has {}", flags.regime, flags.solver, fmt::join(names, ", ")));
}

// One line about an answer that is not what was asked for.
std::string message_of(const Assignment& assignment, std::int64_t matched, std::int64_t most, bool certified) {
  const Certificate& proof = assignment.certificate;
  const auto n = static_cast<std::int64_t>(assignment.sigma.size());
  const std::string unmatched =
      matched < most ? fmt::format("; {} of {} rows are unmatched", most - matched, most) : "";
  switch (assignment.status) {
    case SolveStatus::converged:
      return "";
    case SolveStatus::infeasible:
      return fmt::format("infeasible: forbidden pairs leave no assignment; {} of {} rows can be matched", matched,
                         most);
    case SolveStatus::numerical_failure:
      return fmt::format("numerical failure: rounding leaves a gap of {:.3g}", proof.gap);
    default:
      if (certified && proof.proven_rows < n)
        return fmt::format("{}: the proof was cut off after {} of {} rows, so that the bound says little{}",
                           name_of(assignment.status), proof.proven_rows, n, unmatched);
      return fmt::format("{}: rows that were left over are matched to what was free{}", name_of(assignment.status),
                         unmatched);
  }
}

// `certified` or not, its cost is known.
Pairing of_assignment(const Problem& problem, Assignment assignment, bool certified) {
  Pairing pairing;
  pairing.regime = assignment.algorithm;
  if (!certified) assignment.certificate = cost_of_pairs(problem, assignment.sigma);
  pairing.primal_cost = assignment.certificate.primal_cost;
  pairing.dual_bound = assignment.certificate.dual_bound;
  pairing.gap = assignment.certificate.gap;
  const auto matched = std::count_if(assignment.sigma.begin(), assignment.sigma.end(), [](auto j) { return j >= 0; });
  const auto rows = static_cast<double>(std::min(assignment.f.size(), assignment.g.size()));
  // Rows and columns that are left without their mass, each of 1 / min(n, m).
  pairing.marginal_error = rows == 0 ? 0 : 2 * (1 - static_cast<double>(matched) / rows);
  pairing.message = message_of(assignment, matched, static_cast<std::int64_t>(rows), certified);
  pairing.more["certificate_seconds"] = certified ? assignment.certificate.seconds : 0;
  if (certified && assignment.certificate.proven_rows < problem.n())
    pairing.more["proven_rows"] = assignment.certificate.proven_rows;
  pairing.assignment = std::move(assignment);
  const auto sigma = std::make_shared<std::vector<std::int64_t>>(pairing.assignment.sigma);
  pairing.plan = [sigma, rows](std::int64_t i, std::int64_t j) {
    return (*sigma)[static_cast<std::size_t>(i)] == j ? 1 / rows : 0.0;
  };
  for (std::size_t i = 0; i < sigma->size(); ++i)
    if ((*sigma)[i] >= 0)
      pairing.entries.push_back({static_cast<double>(i), static_cast<double>((*sigma)[i]), 1 / rows});
  return pairing;
}

std::vector<Pairing> of_assignments(const OpenedProblems& opened, std::vector<Assignment> assignments, bool certified) {
  std::vector<Pairing> pairings;
  pairings.reserve(assignments.size());
  for (std::size_t b = 0; b < assignments.size(); ++b)
    pairings.push_back(of_assignment(opened.problems()[b], std::move(assignments[b]), certified));
  return pairings;
}

// A plan of weighted points; sigma is the column of each row's largest part.
Pairing of_transport(const Problem& problem, Transport plan, bool certified) {
  Pairing pairing;
  pairing.regime = "network_simplex";
  pairing.primal_cost = plan.primal_cost;
  pairing.dual_bound = plan.dual_bound;
  pairing.gap = plan.gap;
  pairing.marginal_error = plan.marginal_error;
  pairing.more["mass"] = plan.total_mass;
  pairing.more["entries"] = plan.mass.size();
  pairing.more["certificate_seconds"] = plan.certificate_seconds;
  for (std::size_t k = 0; k < plan.mass.size(); ++k)
    pairing.entries.push_back({static_cast<double>(plan.rows[k]), static_cast<double>(plan.columns[k]), plan.mass[k]});
  if (plan.status != SolveStatus::converged)
    pairing.message = fmt::format("{}: {}", name_of(plan.status),
                                  certified && std::isnan(plan.dual_bound)
                                      ? "the plan has all its mass, but the proof was cut off and there is no bound"
                                      : "the plan has all its mass, and is not the cheapest yet");
  pairing.assignment = largest_parts(problem, plan);
  const auto entries = std::make_shared<std::vector<std::array<double, 3>>>(pairing.entries);
  pairing.plan = [entries](std::int64_t i, std::int64_t j) {
    const std::array<double, 3> wanted = {static_cast<double>(i), static_cast<double>(j), 0};
    const auto at = std::ranges::lower_bound(*entries, wanted);
    return at != entries->end() && (*at)[0] == wanted[0] && (*at)[1] == wanted[1] ? (*at)[2] : 0;
  };
  return pairing;
}

std::vector<Pairing> by_transport(const OpenedProblems& opened, const SolveFlags& flags, const SolveWatch& watch) {
  if (flags.regime != "automatic")
    throw InputError(fmt::format("--regime {}: --solver exact has none for weighted points", flags.regime));
  TransportOptions options;
  options.watch = watch;
  options.certify = flags.certify;
  const TimeOfAll time(flags);
  if (flags.max_iterations) options.max_iterations = *flags.max_iterations;
  std::vector<Pairing> pairings;
  for (const Problem& problem : opened.problems()) {
    options.max_seconds = time.left();
    pairings.push_back(of_transport(
        problem, solve_transport(problem, opened.source_weights(), opened.target_weights(), options), flags.certify));
  }
  return pairings;
}

std::vector<Pairing> by_exact(const OpenedProblems& opened, const SolveFlags& flags, const SolveWatch& watch) {
  refuse_sinkhorn_flags(flags);
  refuse(!flags.warm_start.empty(), "--warm-start", flags, "auction or sinkhorn");
  if (!opened.source_weights().empty() || !opened.target_weights().empty()) return by_transport(opened, flags, watch);
  ExactOptions options;
  options.algorithm = regime_of(
      flags, {ExactAlgorithm::automatic, ExactAlgorithm::dense, ExactAlgorithm::screened, ExactAlgorithm::multilevel});
  options.watch = watch;
  options.certify = flags.certify;
  if (flags.max_seconds) options.max_seconds = *flags.max_seconds;
  if (flags.max_iterations) options.max_iterations = *flags.max_iterations;
  ExactWorkspace workspace;
  std::vector<Assignment> results(opened.problems().size());
  if (results.size() == 1)
    solve_exact(opened.problems().front(), options, workspace, results.front());
  else
    solve_exact_batch(opened.problems(), options, workspace, results);
  return of_assignments(opened, std::move(results), flags.certify);
}

// The device's auction knows no forbidden pairs.
bool device_serves(const Problem& problem) {
  if (!device_auction_takes(problem)) return false;
  for (std::int64_t i = 0; problem.has_matrix && i < problem.n(); ++i) {
    const float* row = static_cast<const float*>(problem.costs.data) + i * problem.costs.row_stride;
    if (std::any_of(row, row + problem.m(), [](float cost) { return std::isinf(cost); })) return false;
  }
  return true;
}

std::vector<Pairing> by_auction(const OpenedProblems& opened, const SolveFlags& flags, const SolveWatch& watch) {
  refuse_sinkhorn_flags(flags);
  refuse(!opened.source_weights().empty(), "--source-weights", flags, "exact or sinkhorn");
  refuse(!opened.target_weights().empty(), "--target-weights", flags, "exact or sinkhorn");
  refuse(flags.regime != "automatic", "--regime", flags, "exact or sinkhorn");
  const std::vector<double> warm_start = read_warm_start(flags.warm_start, opened);
  std::vector<Assignment> results(opened.problems().size());
  const auto served = [&] {
    return flags.max_gap.value_or(1) > 0 && std::ranges::all_of(opened.problems(), device_serves);
  };
  if (flags.device == Device::cuda && (flags.device_chosen || served())) {
    Stream stream(flags.device);
    DeviceAuctionOptions options;
    options.watch = watch;
    options.warm_start = warm_start;
    options.certify = flags.certify;
    options.max_gap = flags.max_gap.value_or(1e-6);
    if (flags.max_iterations) options.max_iterations = *flags.max_iterations;
    const TimeOfAll time(flags);
    for (std::size_t b = 0; b < results.size(); ++b) {
      options.max_seconds = std::max(0.0, time.left());
      results[b] = solve_auction(stream, opened.problems()[b], options);
    }
    std::vector<Pairing> pairings = of_assignments(opened, std::move(results), flags.certify);
    for (Pairing& pairing : pairings) pairing.device = flags.device;
    return pairings;
  }
  AuctionOptions options;
  options.watch = watch;
  options.certify = flags.certify;
  options.warm_start = warm_start;
  if (flags.max_gap) options.max_gap = *flags.max_gap;
  if (flags.max_seconds) options.max_seconds = *flags.max_seconds;
  if (flags.max_iterations) options.max_iterations = *flags.max_iterations;
  AuctionWorkspace workspace;
  if (results.size() == 1)
    solve_auction(opened.problems().front(), options, workspace, results.front());
  else
    solve_auction_batch(opened.problems(), options, workspace, results);
  return of_assignments(opened, std::move(results), flags.certify);
}

EpsilonUnit unit_of(const std::string& name) {
  if (name == "deviation") return EpsilonUnit::standard_deviation;
  if (name == "mean") return EpsilonUnit::mean_cost;
  if (name == "absolute") return EpsilonUnit::absolute;
  throw InputError("--epsilon-unit " + name + ": wanted deviation, mean or absolute");
}

struct SinkhornFlags {
  SinkhornOptions options;
  SinkhornRegime regime;
  bool weighted;
};

// The pairs, with the certificate of what they stand for: that of the permutation, or of the plan.
Pairing pairs_of_plan(const Problem& problem, SinkhornSolver& solver, const std::string& pairs, const SolveFlags& flags,
                      const SolveLimits& limits) {
  if (pairs == "permutation")
    return of_assignment(problem, solver.round_to_permutation(flags.max_gap.value_or(1e-3), limits, true), true);
  Pairing pairing;
  if (pairs == "argmax")
    pairing.assignment = solver.argmax_pairs(true, &limits);
  else if (pairs == "sampled")
    pairing.assignment = solver.sample_pairs(flags.seed, 0, true, &limits);
  else
    throw InputError("--pairs " + pairs + ": wanted permutation, argmax or sampled");
  pairing.more["pairs_cost"] = pairing.assignment.certificate.primal_cost;
  pairing.more["pairs_one_to_one"] = pairing.assignment.certificate.is_permutation;
  pairing.assignment.certificate = solver.certify_plan(&limits);
  return pairing;
}

Pairing by_sinkhorn(const Problem& problem, const SolveFlags& flags, const SinkhornFlags& asked,
                    const SolveWatch& watch, SinkhornSolver& solver, DeviceSinkhorn& device_solver) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  const bool free = flags.marginal_penalty.has_value();
  const bool one_to_one = problem.n() == problem.m() && !asked.weighted && !free;
  const std::string pairs = !flags.pairs.empty() ? flags.pairs : one_to_one ? "permutation" : "argmax";
  if (pairs == "permutation" && !one_to_one)
    throw InputError("--pairs permutation takes as many rows as columns, each of the same mass, not " +
                     describe(problem));
  // The host's own solver is the best of the CPU's, and reads every kind of pairs from its plan; the device's regimes
  // run on the host only when they are asked for.
  const bool by_regime = asked.regime != SinkhornRegime::automatic ||
                         (flags.device == Device::cuda && (flags.device_chosen || pairs == "permutation"));
  if (by_regime && pairs != "permutation")
    throw InputError("--pairs " + pairs + " is read from the host's plan: leave out --regime and --device cuda");
  SinkhornResult result;
  // One clock and one word for the plan, its pairs and the proof.
  const SolveLimits limits(SolveLimits::kNoIterations, asked.options.max_seconds, &watch);
  const SolveLimits of_plan = limits.until(kPlanShare * asked.options.max_seconds);
  SinkhornOptions options = asked.options;
  options.limits = &of_plan;
  if (by_regime)
    device_solver.solve(problem, options, result, asked.regime);
  else
    solver.solve(problem, options, result);
  Pairing pairing;
  const bool failed = result.status == SolveStatus::numerical_failure;
  const bool has_plan = !failed && !std::isnan(result.transport_cost);
  if (failed || (by_regime && !has_plan)) {
    pairing.assignment.sigma.assign(static_cast<std::size_t>(problem.n()), -1);
    pairing.assignment.f = result.f;
    pairing.assignment.g = result.g;
    pairing.assignment.certificate = {
        .primal_cost = kUnknown, .dual_bound = kUnknown, .gap = kUnknown, .is_permutation = false};
  } else if (by_regime) {
    pairing = of_assignment(problem,
                            solve_auction(problem, {.max_gap = flags.max_gap.value_or(1e-3),
                                                    .max_seconds = std::max(0.0, limits.seconds_left()),
                                                    .watch = watch,
                                                    .warm_start = result.g}),
                            true);
  } else {
    pairing = pairs_of_plan(problem, solver, pairs, flags, limits);
  }
  Assignment& assignment = pairing.assignment;
  pairing.primal_cost = free && has_plan ? result.transport_cost : assignment.certificate.primal_cost;
  pairing.dual_bound = assignment.certificate.dual_bound;
  pairing.gap = assignment.certificate.gap;
  if (std::ranges::all_of(assignment.sigma, [](std::int64_t j) { return j < 0; }) && problem.n() > 0)
    pairing.primal_cost = pairing.gap = kUnknown;  // nothing is paired, at no cost
  const SinkhornRegime host_regime = solver.stored() ? SinkhornRegime::stored : SinkhornRegime::streaming;
  pairing.regime = name_of(by_regime ? device_solver.regime() : host_regime);
  pairing.device = by_regime ? flags.device : Device::cpu;
  pairing.marginal_error = has_plan ? result.row_error + result.column_error : kUnknown;
  if (!result.message.empty()) pairing.message = result.message;
  assignment.iterations = result.iterations;
  assignment.seconds += result.seconds;
  if (result.status != SolveStatus::converged) assignment.status = result.status;
  pairing.more["epsilon"] = result.epsilon;
  if (!failed) {
    pairing.more["pairs"] = pairs;
    pairing.more["transport_cost"] = result.transport_cost;
    pairing.more["entropic_cost"] = result.entropic_cost;
    pairing.more["mass"] = result.mass;
    pairing.more["rounding"] = result.rounding;
  }
  pairing.plan = has_plan ? std::function(SinkhornPlan(problem, options, result)) : nullptr;
  return pairing;
}

std::vector<Pairing> by_sinkhorn(const OpenedProblems& opened, const SolveFlags& flags, const SolveWatch& watch) {
  refuse(!flags.certify, "--no-certificate", flags, "exact or auction");
  const std::vector<double> warm_start = read_warm_start(flags.warm_start, opened);
  SinkhornFlags asked;
  asked.regime = regime_of(flags, {SinkhornRegime::automatic, SinkhornRegime::streaming, SinkhornRegime::stored,
                                   SinkhornRegime::stored_16, SinkhornRegime::resident});
  asked.weighted = !opened.source_weights().empty() || !opened.target_weights().empty();
  SinkhornOptions& options = asked.options;
  if (flags.epsilon) options.epsilon = *flags.epsilon;
  options.unit = unit_of(flags.epsilon_unit);
  if (flags.tolerance) options.tolerance = *flags.tolerance;
  if (flags.marginal_penalty) options.marginal_penalty = *flags.marginal_penalty;
  if (flags.max_iterations) options.max_iterations = *flags.max_iterations;
  options.source_weights = opened.source_weights();
  options.target_weights = opened.target_weights();
  options.initial_g = warm_start;
  options.watch = watch;
  SinkhornSolver solver;
  Stream stream(flags.device);
  DeviceSinkhorn device_solver(stream);
  std::vector<Pairing> pairings;
  const TimeOfAll time(flags);
  for (const Problem& problem : opened.problems()) {
    options.max_seconds = time.left();
    pairings.push_back(by_sinkhorn(problem, flags, asked, watch, solver, device_solver));
  }
  return pairings;
}

struct SolverEntry {
  const char* name;
  std::vector<Pairing> (*solve)(const OpenedProblems&, const SolveFlags&, const SolveWatch&);
};

constexpr SolverEntry kSolvers[] = {{"exact", by_exact}, {"sinkhorn", by_sinkhorn}, {"auction", by_auction}};

}  // namespace

std::vector<std::string> solver_names() {
  std::vector<std::string> names;
  for (const SolverEntry& entry : kSolvers) names.emplace_back(entry.name);
  return names;
}

std::vector<Pairing> solve(const OpenedProblems& opened, const SolveFlags& flags, const SolveWatch& watch) {
  for (const SolverEntry& entry : kSolvers)
    if (flags.solver == entry.name) return entry.solve(opened, flags, watch);
  throw InputError(fmt::format("--solver {}: wanted {}", flags.solver, fmt::join(solver_names(), ", ")));
}

}  // namespace otnfm
