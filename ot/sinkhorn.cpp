#include "ot/sinkhorn.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/fixed_point_step.h"
#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/widen.h"
#include "ot/entropic/sinkhorn_setup.h"
#include "ot/entropic/sinkhorn_state.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

constexpr double kMostExponent = 1e20;
constexpr double kAbsorbAbove = 2e-4;  // rounding of an exponent that makes the costs be taken relative to f and g

}  // namespace

// One solve: f and g in the units of the cost between stages, u and v in exponents relative to alpha and beta within
// one.
class SinkhornRun {
 public:
  SinkhornRun(SinkhornSolver::State& state, const SinkhornOptions& options, SinkhornResult& result,
              const SolveLimits& limits, double epsilon)
      : state_(state), options_(options), result_(result), limits_(limits), epsilon_(epsilon) {
    const auto n = state.a.size(), m = state.b.size();
    state.f.assign(n, 0.0);
    state.g.assign(m, 0.0);
    state.u.assign(n, 0.0);
    state.v.assign(m, 0.0);
    log_sums_.resize(m);
    target_.resize(m);
    residual_.resize(m);
    rounded_.resize(m);
    weight_.resize(m);
    marginal_.assign(state.b.begin(), state.b.end());
    history_.resize(FixedPointStep::kHistoryRows * m);
    step_state_.resize(FixedPointStep::kStateSize);
    for (std::size_t j = 0; j < options.initial_g.size(); ++j) state.g[j] = state.scaled.forth(options.initial_g[j]);
    price_ = state.scaled.forth(options.marginal_penalty);
    mass_ = std::accumulate(state.b.begin(), state.b.end(), 0.0);
  }

  void stages(double spread) {
    anneal(options_.annealing && options_.initial_g.empty() ? spread : epsilon_, epsilon_, options_.annealing_factor,
           state_.g, [&](double epsilon, bool last) { return stage(epsilon, last); });
  }

 private:
  // Units of exponents at a stage, and back.
  void enter(double epsilon) {
    ratio_ = epsilon_ / epsilon;
    scale_ = kLog2E / epsilon;
    const auto alpha = state_.exponents.alpha(), beta = state_.exponents.beta();
    for (std::size_t i = 0; i < state_.u.size(); ++i) state_.u[i] = (state_.f[i] - alpha[i]) * scale_;
    for (std::size_t j = 0; j < state_.v.size(); ++j) state_.v[j] = (state_.g[j] - beta[j]) * scale_;
    damping_ = price_ < std::numeric_limits<double>::infinity() ? price_ / (price_ + epsilon) : 1;
    if (damping_ < 1) {
      row_offset_.resize(alpha.size());
      column_offset_.resize(beta.size());
      for (std::size_t i = 0; i < alpha.size(); ++i) row_offset_[i] = alpha[i] * scale_;
      for (std::size_t j = 0; j < beta.size(); ++j) column_offset_[j] = beta[j] * scale_;
    }
    std::fill(step_state_.begin(), step_state_.end(), 0.0);
  }

  void leave() {
    const auto alpha = state_.exponents.alpha(), beta = state_.exponents.beta();
    for (std::size_t i = 0; i < state_.u.size(); ++i) state_.f[i] = state_.u[i] / scale_ + alpha[i];
    for (std::size_t j = 0; j < state_.v.size(); ++j) state_.g[j] = state_.v[j] / scale_ + beta[j];
    state_.ratio = ratio_;
  }

  // Of the exponents that have mass.
  double rounding() const {
    const auto largest = [](const HostVector<double>& values, const HostVector<double>& mass) {
      double size = 0;
      for (std::size_t k = 0; k < values.size(); ++k)
        if (mass[k] > 0) size = std::max(size, std::fabs(values[k]));
      return size;
    };
    return kLog2 * std::ldexp(largest(state_.u, state_.a) + largest(state_.v, state_.b), -24) +
           std::ldexp(largest(state_.f, state_.a) + largest(state_.g, state_.b), -53) * scale_ * kLog2;
  }

  // False where the solve ends here, whatever stages would follow.
  bool stage(double epsilon, bool last) {
    ++result_.stages;
    enter(epsilon);
    // A warm start's f is unknown until the first update, and so is that of the first stage.
    bool absorbed = false;
    const double tolerance = stage_tolerance(options_, last);
    const std::int64_t first = result_.iterations;
    for (bool done = false; !done;) {
      const double start = limits_.seconds();
      const bool answered = iterate(tolerance);
      ++result_.iterations;
      longest_ = std::max(longest_, limits_.seconds() - start);
      // What follows a stop takes the time of two iterations more.
      const bool capped = result_.iterations >= options_.max_iterations || limits_.reached(result_.iterations);
      if (!(answered && last) && (capped || limits_.seconds_left() < 3 * longest_)) {
        result_.status = capped ? limits_.status() : SolveStatus::time_limit;
        result_.message = fmt::format("stopped after {} iterations, {:.3g} s, at an L1 error of {:.3g}",
                                      result_.iterations, limits_.seconds(), error_);
        if (!answered) settle_for_the_best();
        leave();
        return false;
      }
      if (!answered) advance();
      done = answered || (!last && result_.iterations - first >= kStageIterations);
      // Once f has answered to g, the largest exponents show what rounding takes.
      const bool time_to_absorb = !absorbed ? result_.iterations > first : done && last;
      if (!time_to_absorb || rounding() <= kAbsorbAbove || absorptions_ >= kMostAbsorptions) continue;
      leave();
      state_.exponents.absorb(state_.f, state_.g, &limits_);
      ++absorptions_;
      absorbed = true;
      enter(epsilon);
      done = done && !last;
    }
    leave();
    result_.rounding = rounding();
    if (last && !(result_.rounding <= kFailAbove)) {
      fail_by_rounding(epsilon, result_);
      return false;
    }
    return true;
  }

  // An update of u, and what v would be by it. True where (u, v) is an answer.
  bool iterate(double tolerance) {
    state_.pass.run(state_.exponents, {.ratio = ratio_, .damping = damping_, .offset = row_offset_}, state_.u, state_.v,
                    log_sums_, &limits_);
    error_ = 0;
    for (std::size_t j = 0; j < target_.size(); ++j) {
      // A column without mass may have none that reaches it, and goes nowhere then.
      const bool reached = state_.b[j] > 0 || std::fabs(log_sums_[j]) < kMostExponent;
      double target = reached ? state_.v[j] - log_sums_[j] : state_.v[j];
      if (damping_ < 1) target = damping_ * (target + column_offset_[j]) - column_offset_[j];
      residual_[j] = state_.b[j] * std::fabs(std::exp2(std::min(60.0, state_.v[j] - target)) - 1);
      error_ += residual_[j];
      target_[j] = target;
    }
    error_ /= mass_;
    return error_ <= tolerance;
  }

  void advance() {
    const auto m = static_cast<std::int64_t>(target_.size());
    fixed_point_step(stream_, {.v = {state_.v.data(), {m}},
                               .mapped = View<double>(target_.data(), {m}),
                               .residual = View<double>(residual_.data(), {m}),
                               .marginal = View<float>(marginal_.data(), {m}),
                               .rounded = {rounded_.data(), {m}},
                               .weight = {weight_.data(), {m}},
                               .history = {history_.data(), {FixedPointStep::kHistoryRows, m}},
                               .state = {step_state_.data(), {FixedPointStep::kStateSize}},
                               .mixing = options_.mixing,
                               .relaxation = options_.relaxation});
  }

  // Where a cap ends a stage: v of the least error so far, and the u that answers to it.
  void settle_for_the_best() {
    if (step_state_[FixedPointStep::kIterations] == 0) return;
    const auto best = history_.begin() + static_cast<std::ptrdiff_t>(FixedPointStep::kBestRow * target_.size());
    std::copy_n(best, target_.size(), state_.v.begin());
    iterate(0);
  }

  static constexpr int kMostAbsorptions = 12;

  SinkhornSolver::State& state_;
  const SinkhornOptions& options_;
  SinkhornResult& result_;
  const SolveLimits& limits_;
  double epsilon_, ratio_ = 1, scale_ = 1, damping_ = 1;
  Stream stream_{Device::cpu};
  HostVector<double> log_sums_, target_, residual_, row_offset_, column_offset_;
  HostVector<double> history_, step_state_;        // of fixed_point_step
  HostVector<float> marginal_, rounded_, weight_;  // the last two: what it says of v for other sums than this
  double error_ = 0;                               // of the columns' marginal (or fixed point), of their mass
  double price_ = 0, mass_ = 1;                    // of the marginals, and that of the columns
  double longest_ = 0;                             // iteration, in seconds
  int absorptions_ = 0;
};

SinkhornSolver::SinkhornSolver() : state_(std::make_unique<State>()) {}
SinkhornSolver::~SinkhornSolver() = default;
SinkhornSolver::SinkhornSolver(SinkhornSolver&&) noexcept = default;
SinkhornSolver& SinkhornSolver::operator=(SinkhornSolver&&) noexcept = default;

namespace {

// The plan of the scaled problem.
void solve_plan(SinkhornSolver::State& state, const SinkhornOptions& options, const SolveLimits& limits,
                SinkhornResult& result) {
  const CostSpread spread = cost_spread(state.problem);
  if (!choose_epsilon(options, state.scaled, spread, result)) return;
  state.exponents.reset(state.problem, result.epsilon, options.most_bytes, &limits);
  state.pass.reset(state.a, state.b);
  state.spread = first_epsilon(spread);
  SinkhornRun(state, options, result, limits, result.epsilon).stages(state.spread);
  state.epsilon = result.epsilon;
  result.epsilon /= state.ratio;
  for (std::size_t i = 0; i < state.a.size(); ++i)  // as far as the costs that forbid its pairs
    if (state.a[i] == 0 && !(std::fabs(state.u[i]) < kMostExponent)) state.f[i] = 0;
  assign_result(result.f, state.f);
  assign_result(result.g, state.g);
  if (result.status == SolveStatus::numerical_failure) return;
  HostVector<double> rows(state.a.size()), columns(state.b.size()), exponents(state.a.size());
  state.argmax.resize(state.a.size());
  state.pass.read_plan(state.exponents, state.ratio, state.u, state.v,
                       {.row_sums = rows, .column_sums = columns, .row_exponents = exponents, .argmax = state.argmax},
                       &limits);
  report_plan({.a = state.a,
               .b = state.b,
               .alpha = state.exponents.alpha(),
               .beta = state.exponents.beta(),
               .row_sums = rows,
               .column_sums = columns,
               .row_exponents = exponents,
               .unit = state.epsilon / kLog2E},
              state.scaled.forth(options.marginal_penalty), result);
  state.transport_cost = result.transport_cost;
  state.solved = result.status != SolveStatus::numerical_failure;
}

void solve_problem(SinkhornSolver::State& state, const Problem& problem, const SinkhornOptions& options,
                   SinkhornResult& result) {
  const std::int64_t n = problem.n(), m = problem.m();
  const SolveLimits own(SolveLimits::kNoIterations, options.max_seconds, &options.watch);
  const SolveLimits limits = options.limits != nullptr ? *options.limits : own;
  result = {};
  state.solved = state.stopped = state.forbids = false;
  state.problem = problem;
  state.threads = options.threads;
  state.free = !std::isinf(options.marginal_penalty);
  state.uniform = options.source_weights.empty() && options.target_weights.empty() && !state.free;
  assign_result(result.f, n, 0.0);
  assign_result(result.g, m, 0.0);
  if (n == 0 || m == 0) {
    state.a.clear();
    state.b.clear();
    state.solved = true;
    state.f.assign(result.f.begin(), result.f.end());
    state.g.assign(result.g.begin(), result.g.end());
    return;
  }
  state.a = marginal_of(options.source_weights, n, state.free, "source_weights");
  state.b = marginal_of(options.target_weights, m, state.free, "target_weights");
  state.f.assign(state.a.size(), 0.0);
  state.g.assign(state.b.size(), 0.0);
  try {
    state.scaled.reset(problem, &limits);
    state.problem = state.scaled.problem();
    state.forbids = options.check_input && check_entries(problem, &limits);
    if (state.forbids) check_allowed(state.problem, state.a, state.b, limits);
    solve_plan(state, options, limits, result);
  } catch (const SolveStopped&) {
    state.stopped = true;
    assign_result(result.f, state.f);
    assign_result(result.g, state.g);
  }
  if (!state.solved) report_no_plan(limits, result);
  state.status = result.status;
  scale_back(state.scaled, result);
  result.seconds = own.seconds();
}

}  // namespace

void SinkhornSolver::solve(const Problem& problem, const SinkhornOptions& options, SinkhornResult& result) {
  check_options(options, problem.m());
  const host::ThreadLimit thread_limit(options.threads);
  naming_memory([&] { return "the Sinkhorn plan of " + describe(problem); },
                [&] { solve_problem(*state_, problem, options, result); });
}

SinkhornResult solve_sinkhorn(const Problem& problem, const SinkhornOptions& options) {
  SinkhornSolver solver;
  SinkhornResult result;
  solver.solve(problem, options, result);
  return result;
}

}  // namespace otnfm
