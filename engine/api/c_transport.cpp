// The C ABI over the transport solvers.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/api/c.h"
#include "engine/api/c_problem.h"
#include "engine/api/c_solution.h"
#include "engine/api/guarded.h"
#include "ot/certificate.h"
#include "ot/exact.h"
#include "ot/solve.h"

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

otnfm::SolveOptions options_of(const otnfm_solve_options& c) {
  otnfm::SolveOptions options;
  options.solver = c.solver == OTNFM_EXACT     ? otnfm::TransportSolver::exact
                   : c.solver == OTNFM_AUCTION ? otnfm::TransportSolver::auction
                                               : otnfm::TransportSolver::sinkhorn;
  if (c.solver == OTNFM_EXACT) options.regime = name_of(static_cast<otnfm::ExactAlgorithm>(c.algorithm));
  options.threads = c.threads;
  options.certify = c.certify != 0;
  options.max_seconds = c.max_seconds;
  if (c.max_iterations >= 0) options.max_iterations = c.max_iterations;
  if (c.watch != nullptr)
    options.watch = [watch = c.watch, data = c.watch_data](const otnfm::SolveProgress& at) {
      const otnfm_progress progress{sizeof(otnfm_progress), at.iterations, at.seconds, at.unproven_rows};
      return watch(data, &progress) != 0;
    };
  if (c.max_gap >= 0) options.max_gap = c.max_gap;
  if (c.solver != OTNFM_SINKHORN) return options;
  options.epsilon = c.epsilon;
  options.unit = c.epsilon_unit == OTNFM_ABSOLUTE    ? otnfm::EpsilonUnit::absolute
                 : c.epsilon_unit == OTNFM_MEAN_COST ? otnfm::EpsilonUnit::mean_cost
                                                     : otnfm::EpsilonUnit::standard_deviation;
  options.tolerance = c.tolerance;
  options.marginal_penalty = c.marginal_penalty;
  options.pairs = static_cast<otnfm::PlanPairs>(c.pairs);
  options.seed = c.seed;
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

void take(otnfm::Solution from, otnfm_solution& solution) {
  solution.assignment = std::move(from.assignment);
  solution.message = std::move(from.message);
  const Assignment& a = solution.assignment;
  otnfm_summary& s = solution.summary;
  s = {};
  s.size = sizeof(s);
  s.status = status_of(a.status);
  s.matched = std::ranges::count_if(a.sigma, [](std::int64_t j) { return j >= 0; });
  s.is_permutation = a.certificate.is_permutation ? 1 : 0;
  s.primal_cost = a.certificate.primal_cost;
  s.dual_bound = from.certified ? a.certificate.dual_bound : kNaN;
  s.gap = from.certified ? a.certificate.gap : kNaN;
  s.marginal_error = from.marginal_error;
  s.iterations = a.iterations;
  s.seconds = a.seconds;
  s.certificate_seconds = from.certified ? a.certificate.seconds : 0;
  s.epsilon = s.transport_cost = s.entropic_cost = s.mass = kNaN;
  if (from.weighted) {
    s.mass = from.weighted->mass;
    s.transport_cost = a.certificate.primal_cost * s.mass;
    for (const otnfm::PlanEntry& entry : from.weighted->entries) {
      solution.rows.push_back(entry.row);
      solution.columns.push_back(entry.column);
      solution.mass.push_back(entry.mass);
    }
    solution.has_entries = true;
  }
  if (!from.entropic) return;
  otnfm::EntropicPlan& entropic = *from.entropic;
  solution.is_entropic = true;
  solution.plan = std::move(entropic.plan);
  solution.assignment.f = std::move(entropic.f);
  solution.assignment.g = std::move(entropic.g);
  s.epsilon = entropic.epsilon;
  if (!entropic.has_plan) return;
  s.transport_cost = entropic.transport_cost;
  s.entropic_cost = entropic.entropic_cost;
  s.mass = entropic.mass;
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

std::vector<std::unique_ptr<otnfm_solution>> solve(const std::vector<Given>& all,
                                                   const otnfm_solve_options* given_options) {
  otnfm_solve_options c = usual_options();
  if (given_options != nullptr) c = read(*given_options, usual_options(), "otnfm_solve_options");
  check(c, all);
  otnfm::SolveOptions options = options_of(c);
  std::vector<std::unique_ptr<otnfm_solution>> solutions;
  std::vector<Problem> problems;
  for (const Given& given : all) {
    solutions.push_back(std::make_unique<otnfm_solution>());
    solutions.back()->problem = given.problem;
    problems.push_back(given.problem);
  }
  otnfm::Stream stream(otnfm::Device::cpu);
  otnfm::SolveWorkspace workspace;
  std::vector<otnfm::Solution> found(all.size());
  const otnfm::SolveLimits time(otnfm::SolveLimits::kNoIterations, c.max_seconds);
  const auto solve_part = [&](std::size_t begin, std::size_t count) {
    if (c.initial_g != nullptr) options.warm_start = {c.initial_g, static_cast<std::size_t>(problems[begin].m())};
    options.source_weights = all[begin].source_weights;
    options.target_weights = all[begin].target_weights;
    options.max_seconds = time.seconds_left();
    options.first_step = begin;
    otnfm::solve(stream, std::span(problems).subspan(begin, count), options, workspace,
                 std::span(found).subspan(begin, count));
  };
  // Weights, and how many potentials there are to start from, may be each problem's own.
  const bool alike = std::ranges::none_of(all, &Given::weighted) &&
                     (c.initial_g == nullptr ||
                      std::ranges::all_of(problems, [&](const Problem& p) { return p.m() == problems.front().m(); }));
  if (alike)
    solve_part(0, all.size());
  else
    for (std::size_t b = 0; b < all.size(); ++b) solve_part(b, 1);
  for (std::size_t b = 0; b < all.size(); ++b) take(std::move(found[b]), *solutions[b]);
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
    std::vector<std::unique_ptr<otnfm_solution>> solved = solve(all, options);
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
