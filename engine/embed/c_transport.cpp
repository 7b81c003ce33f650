// The C ABI over the transport solvers.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/embed/c.h"
#include "engine/embed/c_problem.h"
#include "engine/embed/c_solution.h"
#include "engine/embed/guarded.h"
#include "ot/auction.h"
#include "ot/certificate.h"
#include "ot/exact.h"
#include "ot/sinkhorn.h"
#include "ot/sinkhorn_plan.h"
#include "ot/transport.h"

namespace {

using otnfm::Assignment;
using otnfm::InputError;
using otnfm::Problem;
using otnfm::SolveStatus;
using otnfm::embed::Given;
using otnfm::embed::given_of;
using otnfm::embed::guarded;
using otnfm::embed::read;
using otnfm::embed::require;
using otnfm::embed::write;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

otnfm_solve_options usual_options() {
  otnfm_solve_options usual = {};
  usual.size = sizeof(usual);
  usual.certify = 1;
  usual.max_gap = -1;
  usual.max_seconds = std::numeric_limits<double>::infinity();
  usual.max_iterations = -1;
  usual.epsilon = otnfm::SinkhornOptions{}.epsilon;
  usual.epsilon_unit = OTNFM_STANDARD_DEVIATION;
  usual.tolerance = otnfm::SinkhornOptions{}.tolerance;
  usual.marginal_penalty = std::numeric_limits<double>::infinity();
  return usual;
}

/// What the solvers' options have in common.
template <class Options>
Options options_of(const otnfm_solve_options& c) {
  Options options;
  options.threads = c.threads;
  options.max_seconds = c.max_seconds;
  if (c.max_iterations >= 0) options.max_iterations = c.max_iterations;
  if (c.watch != nullptr)
    options.watch = [watch = c.watch, data = c.watch_data](const otnfm::SolveProgress& at) {
      const otnfm_progress progress{sizeof(otnfm_progress), at.iterations, at.seconds, at.unproven_rows};
      return watch(data, &progress) != 0;
    };
  return options;
}

otnfm_solve_status status_of(SolveStatus status) {
  switch (status) {
    case SolveStatus::converged:
      return OTNFM_CONVERGED;
    case SolveStatus::iteration_limit:
      return OTNFM_ITERATION_LIMIT;
    case SolveStatus::time_limit:
      return OTNFM_TIME_LIMIT;
    case SolveStatus::interrupted:
      return OTNFM_INTERRUPTED;
    case SolveStatus::infeasible:
      return OTNFM_INFEASIBLE;
    case SolveStatus::numerical_failure:
      break;
  }
  return OTNFM_NUMERICAL_FAILURE;
}

void summarise(otnfm_solution& solution, bool certified) {
  const Assignment& a = solution.assignment;
  otnfm_summary& s = solution.summary;
  const auto matched = std::ranges::count_if(a.sigma, [](std::int64_t j) { return j >= 0; });
  const std::int64_t most = std::min(solution.problem.n(), solution.problem.m());
  s = {};
  s.size = sizeof(s);
  s.status = status_of(a.status);
  s.matched = matched;
  s.is_permutation = a.certificate.is_permutation ? 1 : 0;
  const bool paired = matched > 0 || most == 0;  // else there is no pair, and so no cost
  s.primal_cost = paired ? a.certificate.primal_cost : kNaN;
  s.dual_bound = certified ? a.certificate.dual_bound : kNaN;
  s.gap = certified && paired ? a.certificate.gap : kNaN;
  s.marginal_error = most == 0 ? 0 : 2 * (1 - static_cast<double>(matched) / static_cast<double>(most));
  s.iterations = a.iterations;
  s.seconds = a.seconds;
  s.certificate_seconds = certified ? a.certificate.seconds : 0;
  s.epsilon = s.transport_cost = s.entropic_cost = s.mass = kNaN;
}

bool has_free_marginals(const otnfm_solve_options& c) {
  return c.marginal_penalty < std::numeric_limits<double>::infinity();
}

bool one_to_one(const Given& given, const otnfm_solve_options& c) {
  return given.problem.n() == given.problem.m() && !given.weighted() && !has_free_marginals(c);
}

void solve_entropic(const Given& given, const otnfm_solve_options& c, otnfm_solution& solution) {
  const Problem& problem = given.problem;
  const bool certify = c.certify != 0, free = has_free_marginals(c);
  const otnfm_pairs pairs = c.pairs != OTNFM_PAIRS_AUTOMATIC ? c.pairs
                            : one_to_one(given, c)           ? OTNFM_PAIRS_PERMUTATION
                                                             : OTNFM_PAIRS_ARGMAX;
  if (pairs == OTNFM_PAIRS_PERMUTATION && !one_to_one(given, c))
    throw InputError("OTNFM_PAIRS_PERMUTATION takes as many rows as columns, each of the same mass, not " +
                     describe(problem));
  auto options = options_of<otnfm::SinkhornOptions>(c);
  const otnfm::SolveLimits limits(otnfm::SolveLimits::kNoIterations, c.max_seconds, &options.watch);
  options.max_seconds *= otnfm::kPlanShare;
  options.epsilon = c.epsilon;
  options.unit = c.epsilon_unit == OTNFM_ABSOLUTE    ? otnfm::EpsilonUnit::absolute
                 : c.epsilon_unit == OTNFM_MEAN_COST ? otnfm::EpsilonUnit::mean_cost
                                                     : otnfm::EpsilonUnit::standard_deviation;
  options.tolerance = c.tolerance;
  options.marginal_penalty = c.marginal_penalty;
  options.source_weights = given.source_weights;
  options.target_weights = given.target_weights;
  if (c.initial_g != nullptr) options.initial_g = {c.initial_g, static_cast<std::size_t>(problem.m())};
  otnfm::SinkhornSolver solver;
  otnfm::SinkhornResult result;
  solver.solve(problem, options, result);
  const bool failed = result.status == SolveStatus::numerical_failure;
  const bool has_plan = !failed && !std::isnan(result.transport_cost);
  Assignment& assignment = solution.assignment;
  if (failed) {
    assignment.sigma.assign(static_cast<std::size_t>(problem.n()), -1);
    assignment.certificate = {.primal_cost = kNaN, .dual_bound = kNaN, .gap = kNaN};
  } else if (pairs == OTNFM_PAIRS_PERMUTATION) {
    assignment = solver.round_to_permutation(c.max_gap < 0 ? 1e-3 : c.max_gap, limits, certify);
    if (!certify) assignment.certificate = otnfm::cost_of_pairs(problem, assignment.sigma);
  } else {
    assignment = pairs == OTNFM_PAIRS_ARGMAX ? solver.argmax_pairs(false, &limits)
                                             : solver.sample_pairs(c.seed, 0, false, &limits);
    // The certificate is the plan's; only is_permutation says something of the pairs.
    const bool one_to_one_pairs = otnfm::cost_of_pairs(problem, assignment.sigma).is_permutation;
    assignment.certificate = {.primal_cost = result.transport_cost};
    if (certify) assignment.certificate = solver.certify_plan(&limits);
    assignment.certificate.is_permutation = one_to_one_pairs;
  }
  assignment.iterations = result.iterations;
  assignment.seconds += result.seconds;
  assignment.algorithm = solver.stored() ? "stored" : "streaming";
  if (result.status != SolveStatus::converged) assignment.status = result.status;
  summarise(solution, certify);
  assignment.f = result.f;
  assignment.g = result.g;
  solution.message = result.message;
  solution.is_entropic = true;
  if (has_plan) solution.plan.emplace(problem, options, result);
  otnfm_summary& s = solution.summary;
  s.epsilon = result.epsilon;
  s.marginal_error = has_plan ? result.row_error + result.column_error : kNaN;
  if (!has_plan) return;
  s.transport_cost = result.transport_cost;
  s.entropic_cost = result.entropic_cost;
  s.mass = result.mass;
  if (free) s.primal_cost = result.transport_cost;
}

void solve_weighted(const Given& given, const otnfm_solve_options& c, otnfm_solution& solution) {
  auto options = options_of<otnfm::TransportOptions>(c);
  options.certify = c.certify != 0;
  otnfm::Transport plan = solve_transport(given.problem, given.source_weights, given.target_weights, options);
  solution.assignment = largest_parts(given.problem, plan);
  summarise(solution, options.certify);
  otnfm_summary& s = solution.summary;
  s.marginal_error = plan.marginal_error;
  s.transport_cost = plan.primal_cost * plan.total_mass;
  s.mass = plan.total_mass;
  solution.rows = std::move(plan.rows);
  solution.columns = std::move(plan.columns);
  solution.mass = std::move(plan.mass);
  solution.has_entries = true;
}

void check(const otnfm_solve_options& c, const std::vector<Given>& all) {
  const auto within = [](const char* name, int value, int most) {
    if (value < 0 || value > most)
      throw InputError(std::string("otnfm_solve_options: unknown ") + name + " " + std::to_string(value));
  };
  within("solver", c.solver, OTNFM_SINKHORN);
  within("algorithm", c.algorithm, OTNFM_MULTILEVEL);
  within("epsilon_unit", c.epsilon_unit, OTNFM_STANDARD_DEVIATION);
  within("pairs", c.pairs, OTNFM_PAIRS_SAMPLED);
  require(c.threads >= 0, "otnfm_solve_options: threads must be 0 (all) or more");
  require(!std::isnan(c.max_gap), "otnfm_solve_options: max_gap is not a number");
  require(c.max_seconds >= 0, "otnfm_solve_options: max_seconds must be 0 or more");
  require(c.initial_g == nullptr || c.solver != OTNFM_EXACT,
          "otnfm_solve_options: initial_g goes with OTNFM_AUCTION and OTNFM_SINKHORN");
  for (const Given& given : all) {
    require(!given.weighted() || c.solver != OTNFM_AUCTION,
            "otnfm_problem: weights go with OTNFM_EXACT and OTNFM_SINKHORN");
    require(!given.weighted() || c.solver != OTNFM_EXACT || c.algorithm == OTNFM_AUTOMATIC,
            "otnfm_solve_options: weights leave no choice of the exact algorithm");
  }
}

void solve_assignments(const std::vector<Given>& all, const otnfm_solve_options& c,
                       std::vector<std::unique_ptr<otnfm_solution>>& solutions) {
  std::vector<Problem> problems;
  problems.reserve(all.size());
  for (const Given& given : all) problems.push_back(given.problem);
  std::vector<Assignment> results(problems.size());
  if (c.solver == OTNFM_EXACT) {
    auto options = options_of<otnfm::ExactOptions>(c);
    options.algorithm = static_cast<otnfm::ExactAlgorithm>(c.algorithm);
    options.certify = c.certify != 0;
    otnfm::ExactWorkspace workspace;
    if (results.size() == 1)
      solve_exact(problems.front(), options, workspace, results.front());
    else
      solve_exact_batch(problems, options, workspace, results);
  } else {
    auto options = options_of<otnfm::AuctionOptions>(c);
    if (c.max_gap >= 0) options.max_gap = c.max_gap;
    options.certify = c.certify != 0;
    if (c.initial_g != nullptr && !problems.empty())
      options.warm_start = {c.initial_g, static_cast<std::size_t>(problems.front().m())};
    otnfm::AuctionWorkspace workspace;
    if (results.size() == 1)
      solve_auction(problems.front(), options, workspace, results.front());
    else
      solve_auction_batch(problems, options, workspace, results);
  }
  for (std::size_t b = 0; b < results.size(); ++b) {
    if (c.certify == 0) results[b].certificate = otnfm::cost_of_pairs(problems[b], results[b].sigma);
    solutions[b]->assignment = std::move(results[b]);
    summarise(*solutions[b], c.certify != 0);
  }
}

std::vector<std::unique_ptr<otnfm_solution>> solve(std::vector<Given> all, const otnfm_solve_options* given_options) {
  otnfm_solve_options c = usual_options();
  if (given_options != nullptr) c = read(*given_options, usual_options(), "otnfm_solve_options");
  check(c, all);
  std::vector<std::unique_ptr<otnfm_solution>> solutions;
  for (const Given& given : all) {
    solutions.push_back(std::make_unique<otnfm_solution>());
    solutions.back()->problem = given.problem;
  }
  if (c.solver == OTNFM_SINKHORN)
    for (std::size_t b = 0; b < all.size(); ++b) solve_entropic(all[b], c, *solutions[b]);
  else if (std::ranges::any_of(all, &Given::weighted))
    for (std::size_t b = 0; b < all.size(); ++b) {
      std::vector<std::unique_ptr<otnfm_solution>> one(1);
      one.front() = std::move(solutions[b]);
      if (all[b].weighted())
        solve_weighted(all[b], c, *one.front());
      else
        solve_assignments({all[b]}, c, one);
      solutions[b] = std::move(one.front());
    }
  else
    solve_assignments(all, c, solutions);
  return solutions;
}

}  // namespace

void otnfm_solve_options_init(otnfm_solve_options* options, size_t size) {
  write(usual_options(), options, size);
}

otnfm_status otnfm_solve(const otnfm_problem* problem, const otnfm_solve_options* options, otnfm_solution** solution,
                         otnfm_error* error) {
  return guarded(error, [&] {
    require(problem != nullptr && solution != nullptr, "otnfm_solve: problem and solution must not be null");
    *solution = nullptr;
    *solution = solve({given_of(*problem)}, options).front().release();
  });
}

otnfm_status otnfm_solve_batch(const otnfm_problem* problems, int64_t count, const otnfm_solve_options* options,
                               otnfm_solution** solutions, otnfm_error* error) {
  return guarded(error, [&] {
    require(count >= 0, "otnfm_solve_batch: count must not be negative");
    if (count == 0) return;
    require(problems != nullptr && solutions != nullptr, "otnfm_solve_batch: problems and solutions must not be null");
    std::fill_n(solutions, count, nullptr);
    // The caller's structs may be of another length than ours.
    const auto* bytes = reinterpret_cast<const char*>(problems);
    const std::size_t size = problems->size;
    std::vector<Given> all;
    for (std::int64_t b = 0; b < count; ++b) {
      const auto* problem = reinterpret_cast<const otnfm_problem*>(bytes + static_cast<std::size_t>(b) * size);
      require(problem->size == size, "otnfm_solve_batch: each problem is initialised by otnfm_problem_init()");
      all.push_back(given_of(*problem));
    }
    std::vector<std::unique_ptr<otnfm_solution>> solved = solve(std::move(all), options);
    for (std::unique_ptr<otnfm_solution>& solution : solved) *solutions++ = solution.release();
  });
}

otnfm_status otnfm_certify(const otnfm_problem* problem, const int64_t* sigma, const double* g, int threads,
                           otnfm_certificate* certificate, otnfm_error* error) {
  return guarded(error, [&] {
    require(problem != nullptr && certificate != nullptr, "otnfm_certify: problem and certificate must not be null");
    require(threads >= 0, "otnfm_certify: threads must be 0 (all) or more");
    const Problem p = given_of(*problem).problem;
    require((sigma != nullptr || p.n() == 0) && (g != nullptr || p.m() == 0),
            "otnfm_certify: sigma and g must not be null");
    const otnfm::Certificate proof =
        certify(p, {sigma, static_cast<std::size_t>(p.n())}, {g, static_cast<std::size_t>(p.m())}, threads);
    *certificate = {proof.primal_cost, proof.dual_bound, proof.gap, proof.is_permutation ? 1 : 0};
  });
}
