#include "ot/solve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <utility>

#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/device_auction.h"
#include "ot/device_sinkhorn.h"
#include "ot/exact.h"
#include "ot/transport.h"

namespace otnfm {

namespace {

// What one of those has that solve a stack's problems side by side.
struct Lane {
  explicit Lane(Device device) : stream(device) {}
  Stream stream;
  SinkhornSolver sinkhorn;
  std::optional<DeviceSinkhorn> device_sinkhorn;
};

}  // namespace

struct SolveWorkspace::State {
  ExactWorkspace exact;
  AuctionWorkspace auction;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<Assignment> assignments;
};

SolveWorkspace::SolveWorkspace() : state_(std::make_unique<State>()) {}
SolveWorkspace::~SolveWorkspace() = default;
SolveWorkspace::SolveWorkspace(SolveWorkspace&&) noexcept = default;
SolveWorkspace& SolveWorkspace::operator=(SolveWorkspace&&) noexcept = default;

namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr double kAuctionGap = 1e-6, kPermutationGap = 1e-3;
constexpr int kStreams = 4;  // of a stack on a device: enough to hide one's waits behind another's work
// Pairs of a problem of Sinkhorn that is quicker by one thread than by all: 4 MB of exponents.
constexpr std::int64_t kPairsOfOneThread = std::int64_t{1} << 20;

constexpr TransportSolverEntry kTransportSolvers[] = {
    {"exact", "the optimal assignment", TransportSolver::exact},
    {"auction", "an assignment within a gap of the optimum", TransportSolver::auction},
    {"sinkhorn", "pairs of the plan of least regularised cost", TransportSolver::sinkhorn},
};

constexpr PlanPairsEntry kPlanPairs[] = {
    {"automatic", "a permutation where there is one, else argmax", PlanPairs::automatic},
    {"permutation", "one to one, from the plan's potentials", PlanPairs::permutation},
    {"argmax", "each row's likeliest column", PlanPairs::argmax},
    {"sampled", "a column drawn for each row", PlanPairs::sampled},
};

// The first is what a solver does unless told.
constexpr ExactAlgorithm kExactRegimes[] = {ExactAlgorithm::automatic, ExactAlgorithm::dense, ExactAlgorithm::screened,
                                            ExactAlgorithm::multilevel};
constexpr SinkhornRegime kSinkhornRegimes[] = {SinkhornRegime::automatic, SinkhornRegime::streaming,
                                               SinkhornRegime::stored, SinkhornRegime::stored_16,
                                               SinkhornRegime::resident};

template <class Regime>
Regime regime_of(const SolveOptions& options, std::span<const Regime> all) {
  for (const Regime regime : all)
    if (options.regime == name_of(regime)) return regime;
  throw InputError(fmt::format("regime {}: solver {} has {}", options.regime, name_of(options.solver),
                               fmt::join(regimes_of(options.solver), ", ")));
}

bool has_weights(const SolveOptions& options) {
  return !options.source_weights.empty() || !options.target_weights.empty();
}

void check_together(const SolveOptions& options) {
  const auto refuse = [&](bool given, const char* what, const char* goes_with) {
    if (given)
      throw InputError(fmt::format("{} goes with solver {}, not with {}", what, goes_with, name_of(options.solver)));
  };
  if (options.solver == TransportSolver::auction) {
    refuse(has_weights(options), "a weight", "exact or sinkhorn");
    refuse(options.regime != "automatic", "a regime", "exact or sinkhorn");
  }
  if (options.solver == TransportSolver::exact)
    refuse(!options.warm_start.empty(), "a warm start", "auction or sinkhorn");
  if (options.solver != TransportSolver::sinkhorn) {
    refuse(options.pairs != PlanPairs::automatic, "a choice of pairs", "sinkhorn");
    refuse(!std::isinf(options.marginal_penalty), "a marginal penalty", "sinkhorn");
  }
}

/// What the solvers' options have in common.
template <class Options>
Options options_of(const SolveOptions& options) {
  Options own;
  if constexpr (requires { own.certify; }) own.certify = options.certify;
  if constexpr (requires { own.threads; }) own.threads = options.threads;
  own.check_input = options.check_input;
  own.max_seconds = options.max_seconds;
  if (options.max_iterations != SolveLimits::kNoIterations) own.max_iterations = options.max_iterations;
  own.watch = options.watch;
  return own;
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

// Nothing paired is no cost, and no gap.
void forget_cost_of_nothing(Assignment& assignment) {
  const bool paired = std::ranges::any_of(assignment.sigma, [](std::int64_t j) { return j >= 0; });
  if (!paired && !assignment.f.empty() && !assignment.g.empty())
    assignment.certificate.primal_cost = assignment.certificate.gap = kUnknown;
}

Certificate cost_without_proof(const Problem& problem, const SolveOptions& options, const Assignment& assignment) {
  if (options.costs) return cost_of_pairs(problem, assignment.sigma);
  return {.primal_cost = kUnknown, .dual_bound = kUnknown, .gap = kUnknown};
}

void take_assignment(const Problem& problem, const SolveOptions& options, Solution& solution) {
  Assignment& assignment = solution.assignment;
  if (!options.certify) assignment.certificate = cost_without_proof(problem, options, assignment);
  solution.certified = options.certify;
  const auto matched = std::ranges::count_if(assignment.sigma, [](std::int64_t j) { return j >= 0; });
  const std::int64_t most = std::min(problem.n(), problem.m());
  // Rows and columns that are left without their mass, each of 1 / min(n, m).
  solution.marginal_error = most == 0 ? 0 : 2 * (1 - static_cast<double>(matched) / static_cast<double>(most));
  solution.message = message_of(assignment, matched, most, options.certify);
}

void take_assignments(std::span<const Problem> problems, const SolveOptions& options, std::vector<Assignment>& from,
                      std::span<Solution> solutions) {
  for (std::size_t b = 0; b < problems.size(); ++b) {
    std::swap(solutions[b].assignment, from[b]);  // whose memory is for the next solve
    take_assignment(problems[b], options, solutions[b]);
  }
}

void solve_weighted(const Problem& problem, const SolveOptions& options, double max_seconds, Solution& solution) {
  if (options.regime != "automatic")
    throw InputError(fmt::format("regime {}: solver exact has none for weighted points", options.regime));
  auto own = options_of<TransportOptions>(options);
  own.max_seconds = max_seconds;
  Transport plan = solve_transport(problem, options.source_weights, options.target_weights, own);
  solution.certified = options.certify;
  solution.marginal_error = plan.marginal_error;
  if (plan.status != SolveStatus::converged)
    solution.message = fmt::format("{}: {}", name_of(plan.status),
                                   options.certify && std::isnan(plan.dual_bound)
                                       ? "the plan has all its mass, but the proof was cut off and there is no bound"
                                       : "the plan has all its mass, and is not the cheapest yet");
  WeightedPlan& weighted = solution.weighted.emplace();
  weighted.mass = plan.total_mass;
  for (std::size_t k = 0; k < plan.mass.size(); ++k)
    weighted.entries.push_back({plan.rows[k], plan.columns[k], plan.mass[k]});
  solution.assignment = largest_parts(problem, plan);
}

void solve_exactly(std::span<const Problem> problems, const SolveOptions& options, SolveWorkspace::State& state,
                   std::span<Solution> solutions) {
  if (has_weights(options)) {
    const SolveLimits time(SolveLimits::kNoIterations, options.max_seconds);
    for (std::size_t b = 0; b < problems.size(); ++b)
      solve_weighted(problems[b], options, time.seconds_left(), solutions[b]);
    return;
  }
  auto own = options_of<ExactOptions>(options);
  own.algorithm = regime_of<ExactAlgorithm>(options, kExactRegimes);
  if (problems.size() == 1)
    solve_exact(problems.front(), own, state.exact, state.assignments.front());
  else
    solve_exact_batch(problems, own, state.exact, state.assignments);
  take_assignments(problems, options, state.assignments, solutions);
}

// A watch for problems that are solved side by side: asked for one of them at a time, and ending all.
class WatchOfAll {
 public:
  explicit WatchOfAll(const SolveWatch& watch) {
    if (watch)
      shared_ = [this, &watch](const SolveProgress& at) {
        const std::unique_lock one_at_a_time(asking_, std::try_to_lock);
        if (one_at_a_time && !stopped_.load() && !watch(at)) stopped_.store(true);
        return !stopped_.load();
      };
  }
  const SolveWatch& watch() const { return shared_; }

 private:
  SolveWatch shared_;
  std::mutex asking_;
  std::atomic<bool> stopped_ = false;
};

// solve(b, lane) for each of `count` problems, by `side_by_side` lanes on `device`.
template <class Solve>
void solve_in_lanes(SolveWorkspace::State& state, Device device, std::size_t count, int side_by_side,
                    const Solve& solve) {
  auto& lanes = state.lanes;
  if (!lanes.empty() && lanes.front()->stream.device() != device) lanes.clear();
  while (lanes.size() < static_cast<std::size_t>(side_by_side)) lanes.push_back(std::make_unique<Lane>(device));
  if (side_by_side == 1) {
    for (std::size_t b = 0; b < count; ++b) solve(b, *lanes.front());
    return;
  }
  host::parallel_items(0, static_cast<std::int64_t>(count), 1, side_by_side, [&](std::int64_t b, int part) {
    solve(static_cast<std::size_t>(b), *lanes[static_cast<std::size_t>(part)]);
  });
}

int lanes_for(std::size_t problems, int most) {
  return static_cast<int>(std::min<std::size_t>(problems, static_cast<std::size_t>(std::max(1, most))));
}

// The device's auction knows no forbidden pairs.
bool device_auction_serves(const Problem& problem) {
  return device_auction_takes(problem) && !(problem.has_matrix && check_entries(problem));
}

void auction_on_device(Stream& stream, std::span<const Problem> problems, const SolveOptions& options,
                       SolveWorkspace::State& state) {
  auto own = options_of<DeviceAuctionOptions>(options);
  own.max_gap = options.max_gap.value_or(kAuctionGap);
  own.warm_start = options.warm_start;
  if (problems.size() == 1) {
    state.assignments.front() = solve_auction(stream, problems.front(), own);
    return;
  }
  const SolveLimits time(SolveLimits::kNoIterations, options.max_seconds);
  const WatchOfAll watch(options.watch);
  own.watch = watch.watch();
  solve_in_lanes(state, stream.device(), problems.size(), lanes_for(problems.size(), kStreams),
                 [&](std::size_t b, Lane& lane) {
                   DeviceAuctionOptions of_this = own;
                   of_this.max_seconds = std::max(0.0, time.seconds_left());
                   state.assignments[b] = solve_auction(lane.stream, problems[b], of_this);
                 });
}

void solve_by_auction(Stream& stream, std::span<const Problem> problems, const SolveOptions& options,
                      SolveWorkspace::State& state, std::span<Solution> solutions) {
  const auto served = [&] {
    return options.max_gap.value_or(kAuctionGap) > 0 && std::ranges::all_of(problems, device_auction_serves);
  };
  if (stream.on_cuda() && (options.require_device || served())) {
    auction_on_device(stream, problems, options, state);
    for (Solution& solution : solutions) solution.device = stream.device();
  } else {
    auto own = options_of<AuctionOptions>(options);
    own.max_gap = options.max_gap.value_or(kAuctionGap);
    own.warm_start = options.warm_start;
    if (problems.size() == 1)
      solve_auction(problems.front(), own, state.auction, state.assignments.front());
    else
      solve_auction_batch(problems, own, state.auction, state.assignments);
  }
  take_assignments(problems, options, state.assignments, solutions);
}

// The pairs of the host's plan, with the certificate of what they stand for: that of the permutation, or of the plan.
void take_pairs(const Problem& problem, SinkhornSolver& solver, const SolveOptions& options, std::uint64_t step,
                const SolveLimits& limits, const SinkhornResult& result, Solution& solution) {
  EntropicPlan& entropic = *solution.entropic;
  if (entropic.pairs == PlanPairs::permutation) {
    solution.assignment =
        solver.round_to_permutation(options.max_gap.value_or(kPermutationGap), limits, options.certify);
    return take_assignment(problem, options, solution);
  }
  Assignment& assignment = solution.assignment;
  assignment = entropic.pairs == PlanPairs::argmax ? solver.argmax_pairs(options.certify, &limits)
                                                   : solver.sample_pairs(options.seed, step, options.certify, &limits);
  const Certificate of_pairs =
      options.certify ? assignment.certificate : cost_without_proof(problem, options, assignment);
  entropic.pairs_cost = of_pairs.primal_cost;
  assignment.certificate =
      options.certify ? solver.certify_plan(&limits)
                      : Certificate{.primal_cost = result.transport_cost, .dual_bound = kUnknown, .gap = kUnknown};
  assignment.certificate.is_permutation = of_pairs.is_permutation;
  solution.certified = options.certify;
}

void solve_entropically(const Problem& problem, const SolveOptions& options, SinkhornRegime regime, std::uint64_t step,
                        double max_seconds, Lane& lane, Solution& solution) {
  const bool free = !std::isinf(options.marginal_penalty);
  const bool one_to_one = problem.n() == problem.m() && !has_weights(options) && !free;
  EntropicPlan& entropic = solution.entropic.emplace();
  entropic.pairs = options.pairs != PlanPairs::automatic ? options.pairs
                   : one_to_one                          ? PlanPairs::permutation
                                                         : PlanPairs::argmax;
  entropic.pairs_cost = kUnknown;
  if (entropic.pairs == PlanPairs::permutation && !one_to_one)
    throw InputError("pairs permutation takes as many rows as columns, each of the same mass, not " +
                     describe(problem));
  // The host's own solver is the best of the CPU's, and reads every kind of pairs from its plan; the device's regimes
  // run on the host only when they are asked for.
  const bool by_regime =
      regime != SinkhornRegime::automatic ||
      (lane.stream.on_cuda() && (options.require_device || entropic.pairs == PlanPairs::permutation));
  if (by_regime && entropic.pairs != PlanPairs::permutation)
    throw InputError(fmt::format("pairs {} is read from the host's plan: leave out the regime and the device",
                                 name_of(entropic.pairs)));
  // One clock and one word for the plan, its pairs and the proof.
  const SolveLimits limits(SolveLimits::kNoIterations, max_seconds, &options.watch);
  const SolveLimits of_plan = limits.until(kPlanShare * max_seconds);
  auto own = options_of<SinkhornOptions>(options);
  own.epsilon = options.epsilon;
  own.unit = options.unit;
  own.tolerance = options.tolerance;
  own.marginal_penalty = options.marginal_penalty;
  own.source_weights = options.source_weights;
  own.target_weights = options.target_weights;
  own.initial_g = options.warm_start;
  own.limits = &of_plan;
  SinkhornResult result;
  if (by_regime) {
    if (!lane.device_sinkhorn) lane.device_sinkhorn.emplace(lane.stream);
    lane.device_sinkhorn->solve(problem, own, result, regime);
  } else {
    lane.sinkhorn.solve(problem, own, result);
  }
  const bool failed = result.status == SolveStatus::numerical_failure;
  entropic.has_plan = !failed && !std::isnan(result.transport_cost);
  entropic.epsilon = result.epsilon;
  Assignment& assignment = solution.assignment;
  if (failed || (by_regime && !entropic.has_plan)) {
    assignment.sigma.assign(static_cast<std::size_t>(problem.n()), -1);
    assignment.f = result.f;
    assignment.g = result.g;
    assignment.certificate = {
        .primal_cost = kUnknown, .dual_bound = kUnknown, .gap = kUnknown, .is_permutation = false};
  } else if (by_regime) {
    assignment = solve_auction(problem, {.max_gap = options.max_gap.value_or(kPermutationGap),
                                         .certify = options.certify,
                                         .threads = options.threads,
                                         .max_seconds = std::max(0.0, limits.seconds_left()),
                                         .watch = options.watch,
                                         .warm_start = result.g});
    take_assignment(problem, options, solution);
  } else {
    take_pairs(problem, lane.sinkhorn, options, step, limits, result, solution);
  }
  if (free && entropic.has_plan) assignment.certificate.primal_cost = result.transport_cost;
  const SinkhornRegime of_host = lane.sinkhorn.stored() ? SinkhornRegime::stored : SinkhornRegime::streaming;
  assignment.algorithm = name_of(by_regime ? lane.device_sinkhorn->regime() : of_host);
  solution.device = by_regime ? lane.stream.device() : Device::cpu;
  solution.marginal_error = entropic.has_plan ? result.row_error + result.column_error : kUnknown;
  if (!result.message.empty()) solution.message = result.message;
  assignment.iterations = result.iterations;
  assignment.seconds += result.seconds;
  if (result.status != SolveStatus::converged) assignment.status = result.status;
  entropic.transport_cost = result.transport_cost;
  entropic.entropic_cost = result.entropic_cost;
  entropic.mass = result.mass;
  entropic.rounding = result.rounding;
  if (entropic.has_plan) entropic.plan.emplace(problem, own, result);
  entropic.f = std::move(result.f);
  entropic.g = std::move(result.g);
}

void solve_all_entropically(Stream& stream, std::span<const Problem> problems, const SolveOptions& options,
                            SolveWorkspace::State& state, std::span<Solution> solutions) {
  const auto regime = regime_of<SinkhornRegime>(options, kSinkhornRegimes);
  const SolveLimits time(SolveLimits::kNoIterations, options.max_seconds);
  const bool few = std::ranges::all_of(
      problems, [](const Problem& p) { return p.n() <= kPairsOfOneThread / std::max<std::int64_t>(1, p.m()); });
  const int most = stream.on_cuda()      ? kStreams
                   : !few                ? 1
                   : options.threads > 0 ? options.threads
                                         : host::thread_count();
  const int side_by_side = lanes_for(problems.size(), most);
  const WatchOfAll watch(options.watch);
  SolveOptions each = options;
  if (side_by_side > 1) each.watch = watch.watch();
  solve_in_lanes(state, stream.device(), problems.size(), side_by_side, [&](std::size_t b, Lane& lane) {
    solve_entropically(problems[b], each, regime, options.first_step + b, time.seconds_left(), lane, solutions[b]);
  });
}

}  // namespace

std::span<const TransportSolverEntry> transport_solvers() {
  return kTransportSolvers;
}
std::vector<std::string> regimes_of(TransportSolver solver) {
  std::vector<std::string> names;
  if (solver == TransportSolver::exact)
    for (const ExactAlgorithm algorithm : kExactRegimes) names.emplace_back(name_of(algorithm));
  else if (solver == TransportSolver::sinkhorn)
    for (const SinkhornRegime regime : kSinkhornRegimes) names.emplace_back(name_of(regime));
  else
    names.emplace_back("automatic");
  return names;
}
const char* name_of(TransportSolver solver) {
  return kTransportSolvers[static_cast<std::size_t>(solver)].name;
}
std::span<const PlanPairsEntry> plan_pairs() {
  return kPlanPairs;
}
const char* name_of(PlanPairs pairs) {
  return kPlanPairs[static_cast<std::size_t>(pairs)].name;
}

void solve(Stream& stream, std::span<const Problem> problems, const SolveOptions& options, SolveWorkspace& workspace,
           std::span<Solution> solutions) {
  if (problems.size() != solutions.size())
    throw InputError(fmt::format("solve: {} problems, but room for {} solutions", problems.size(), solutions.size()));
  check_together(options);
  if (problems.empty()) return;
  SolveWorkspace::State& state = workspace.state();
  state.assignments.resize(problems.size());
  for (Solution& solution : solutions) {
    Assignment kept = std::move(solution.assignment);
    solution = {};
    solution.assignment = std::move(kept);
  }
  switch (options.solver) {
    case TransportSolver::exact:
      solve_exactly(problems, options, state, solutions);
      break;
    case TransportSolver::auction:
      solve_by_auction(stream, problems, options, state, solutions);
      break;
    case TransportSolver::sinkhorn:
      solve_all_entropically(stream, problems, options, state, solutions);
      break;
  }
  for (Solution& solution : solutions) forget_cost_of_nothing(solution.assignment);
}

Solution solve(Stream& stream, const Problem& problem, const SolveOptions& options) {
  SolveWorkspace workspace;
  Solution solution;
  solve(stream, {&problem, 1}, options, workspace, {&solution, 1});
  return solution;
}

}  // namespace otnfm
