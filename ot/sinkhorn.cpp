#include "ot/sinkhorn.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/error.h"
#include "ot/sinkhorn_state.h"
#include "ot/solve_limits.h"
#include "ot/thread_limit.h"

namespace otnfm {
namespace {

constexpr double kLog2E = 1.44269504088896340736, kLog2 = 0.693147180559945309417;
// A stage that is not the last ends at this L1 error or after so many iterations: its potentials are only a start.
constexpr double kStageTolerance = 0.1;
constexpr std::int64_t kStageIterations = 12;
constexpr double kMixFrom = 0.5;       // mixing begins where the map is about linear
constexpr double kMostGrowth = 3;      // of the error over its least, before mixing starts anew
constexpr double kAbsorbAbove = 2e-4;  // rounding of an exponent that makes the costs be taken relative to f and g
constexpr double kFailAbove = 0.05;    // rounding of an exponent at which the answer means nothing

std::vector<double> weights_of(std::span<const double> given, std::int64_t count, const char* name) {
  const auto size = static_cast<std::size_t>(count);
  if (given.empty()) return std::vector<double>(size, 1.0 / static_cast<double>(count));
  if (given.size() != size) throw InputError(fmt::format("{} has {} entries for {} points", name, given.size(), count));
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (!(given[i] >= 0 && given[i] < std::numeric_limits<double>::infinity()))
      throw InputError(fmt::format("{} holds {} at [{}]; weights are finite and not negative", name, given[i], i));
    sum += given[i];
  }
  if (!(sum > 0 && sum < std::numeric_limits<double>::infinity()))
    throw InputError(fmt::format("{} sums to {}; it must be positive and finite", name, sum));
  std::vector<double> weights(given.begin(), given.end());
  for (double& value : weights) value /= sum;
  return weights;
}

void check(const SinkhornOptions& options, std::int64_t m) {
  const auto positive = [](const char* name, double value) {
    if (!(value > 0)) throw InputError(fmt::format("{} is {}: it must be positive", name, value));
  };
  positive("epsilon", options.epsilon);
  if (std::isinf(options.epsilon)) throw InputError("epsilon is infinite");
  positive("tolerance", options.tolerance);
  positive("marginal_penalty", options.marginal_penalty);
  if (!(options.annealing_factor > 0 && options.annealing_factor < 1))
    throw InputError(fmt::format("annealing_factor is {}: it must be in (0, 1)", options.annealing_factor));
  if (options.threads < 0) throw InputError(fmt::format("threads is {}: it must not be negative", options.threads));
  if (!options.initial_g.empty()) {
    if (options.initial_g.size() != static_cast<std::size_t>(m))
      throw InputError(fmt::format("initial_g has {} entries for {} columns", options.initial_g.size(), m));
    for (std::size_t j = 0; j < options.initial_g.size(); ++j)
      if (!std::isfinite(options.initial_g[j]))
        throw InputError(fmt::format("initial_g holds {} at [{}]", options.initial_g[j], j));
  }
}

double largest_size(std::span<const double> values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

// Where annealing starts: at the spread of the bulk of the costs, since huge entries that stand for forbidden pairs
// would carry potentials of their size into it.
double first_epsilon(const CostSpread& spread) {
  const double bulk = 2 * spread.median_deviation;
  return bulk > 0 ? std::min(bulk, spread.standard_deviation) : spread.standard_deviation;
}

double unit_of(EpsilonUnit unit, const CostSpread& spread) {
  const double size = unit == EpsilonUnit::absolute             ? 1
                      : unit == EpsilonUnit::standard_deviation ? spread.standard_deviation
                                                                : spread.mean_size;
  // Constant costs have no deviation, and zero costs no size: any epsilon has the same plan.
  return size > 0 ? size : spread.mean_size > 0 ? spread.mean_size : 1;
}

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
    if (!options.initial_g.empty()) state.g.assign(options.initial_g.begin(), options.initial_g.end());
  }

  void stages(double spread) {
    double epsilon = epsilon_;
    if (options_.annealing && options_.initial_g.empty())
      while (epsilon < spread * options_.annealing_factor) epsilon /= options_.annealing_factor;
    std::vector<double> before;  // g of the stage before, for a line through both
    double epsilon_before = 0;
    for (bool more = true; more;) {
      const bool last = epsilon <= epsilon_ * (1 + 1e-9);
      if (last) epsilon = epsilon_;
      more = stage(epsilon, last) && !last;
      if (!more) break;
      const double next = epsilon * options_.annealing_factor;
      std::vector<double> g = state_.g;
      if (!before.empty()) {
        const double slope = (epsilon - next) / (epsilon_before - epsilon);
        for (std::size_t j = 0; j < g.size(); ++j) g[j] += slope * (g[j] - before[j]);
      }
      before = std::exchange(state_.g, std::move(g));
      epsilon_before = epsilon;
      epsilon = next;
    }
  }

 private:
  // Units of exponents at a stage, and back.
  void enter(double epsilon) {
    ratio_ = epsilon_ / epsilon;
    scale_ = kLog2E / epsilon;
    const auto alpha = state_.exponents.alpha(), beta = state_.exponents.beta();
    for (std::size_t i = 0; i < state_.u.size(); ++i) state_.u[i] = (state_.f[i] - alpha[i]) * scale_;
    for (std::size_t j = 0; j < state_.v.size(); ++j) state_.v[j] = (state_.g[j] - beta[j]) * scale_;
    damping_ = options_.marginal_penalty < std::numeric_limits<double>::infinity()
                   ? options_.marginal_penalty / (options_.marginal_penalty + epsilon)
                   : 1;
    if (damping_ < 1) {
      row_offset_.resize(alpha.size());
      column_offset_.resize(beta.size());
      for (std::size_t i = 0; i < alpha.size(); ++i) row_offset_[i] = alpha[i] * scale_;
      for (std::size_t j = 0; j < beta.size(); ++j) column_offset_[j] = beta[j] * scale_;
    }
    mixing_.reset(state_.b);
    least_ = std::numeric_limits<double>::infinity();
  }

  void leave() {
    const auto alpha = state_.exponents.alpha(), beta = state_.exponents.beta();
    for (std::size_t i = 0; i < state_.u.size(); ++i) state_.f[i] = state_.u[i] / scale_ + alpha[i];
    for (std::size_t j = 0; j < state_.v.size(); ++j) state_.g[j] = state_.v[j] / scale_ + beta[j];
    state_.ratio = ratio_;
  }

  double rounding() const {
    return kLog2 * std::ldexp(largest_size(state_.u) + largest_size(state_.v), -24) +
           std::ldexp(largest_size(state_.f) + largest_size(state_.g), -53) * scale_ * kLog2;
  }

  // False where the solve ends here, whatever stages would follow.
  bool stage(double epsilon, bool last) {
    ++result_.stages;
    enter(epsilon);
    // A warm start's f is unknown until the first update, and so is that of the first stage.
    bool absorbed = false;
    const double tolerance = last ? options_.tolerance : std::max(options_.tolerance, kStageTolerance);
    const std::int64_t first = result_.iterations;
    for (bool done = false; !done;) {
      if (result_.iterations > 0 && limits_.reached(result_.iterations)) {
        result_.status = SolveStatus::iteration_limit;
        result_.message = fmt::format("stopped after {} iterations, {:.3g} s, at an L1 error of {:.3g}",
                                      result_.iterations, limits_.seconds(), error_);
        leave();
        return false;
      }
      done = iterate(tolerance) || (!last && result_.iterations - first >= kStageIterations);
      // Once f has answered to g, the largest exponents show what rounding takes.
      const bool time_to_absorb = !absorbed ? result_.iterations > first : done && last;
      if (!time_to_absorb || rounding() <= kAbsorbAbove || absorptions_ >= kMostAbsorptions) continue;
      leave();
      state_.exponents.absorb(state_.f, state_.g);
      ++absorptions_;
      absorbed = true;
      enter(epsilon);
      done = done && !last;
    }
    leave();
    result_.rounding = rounding();
    if (last && !(result_.rounding <= kFailAbove)) {
      result_.status = SolveStatus::numerical_failure;
      result_.message = fmt::format("epsilon {:.3g} is too small for float32 exponents: they round to {:.2g}", epsilon,
                                    result_.rounding);
      return false;
    }
    return true;
  }

  // An update of u, then of v unless (u, v) is an answer. True where it is.
  bool iterate(double tolerance) {
    state_.pass.run(state_.exponents, {.ratio = ratio_, .damping = damping_, .offset = row_offset_}, state_.u, state_.v,
                    log_sums_);
    ++result_.iterations;
    error_ = 0;
    for (std::size_t j = 0; j < target_.size(); ++j) {
      double target = state_.v[j] - log_sums_[j];
      if (damping_ < 1) target = damping_ * (target + column_offset_[j]) - column_offset_[j];
      error_ += state_.b[j] * std::fabs(std::exp2(std::min(60.0, state_.v[j] - target)) - 1);
      target_[j] = target;
    }
    if (error_ <= tolerance) return true;
    const bool diverged = error_ > kMostGrowth * least_;
    least_ = diverged ? error_ : std::min(least_, error_);
    if (options_.mixing && error_ < kMixFrom) {
      if (diverged) mixing_.forget();
      mixing_.advance(state_.v, target_);
    } else {
      state_.v = target_;
    }
    return false;
  }

  static constexpr int kMostAbsorptions = 12;

  SinkhornSolver::State& state_;
  const SinkhornOptions& options_;
  SinkhornResult& result_;
  const SolveLimits& limits_;
  double epsilon_, ratio_ = 1, scale_ = 1, damping_ = 1;
  std::vector<double> log_sums_, target_, row_offset_, column_offset_;
  AndersonMixing mixing_;
  double error_ = 0, least_ = 0;  // of the columns' marginal (or fixed point), and its least in this stage
  int absorptions_ = 0;
};

SinkhornSolver::SinkhornSolver() : state_(std::make_unique<State>()) {}
SinkhornSolver::~SinkhornSolver() = default;
SinkhornSolver::SinkhornSolver(SinkhornSolver&&) noexcept = default;
SinkhornSolver& SinkhornSolver::operator=(SinkhornSolver&&) noexcept = default;

namespace {

// Costs, marginals and mass of the plan at the potentials.
void measure(SinkhornSolver::State& state, const SinkhornOptions& options, SinkhornResult& result) {
  const std::size_t n = state.a.size(), m = state.b.size();
  std::vector<double> rows(n), columns(m), exponents(n);
  state.argmax.resize(n);
  state.pass.read_plan(state.exponents, state.ratio, state.u, state.v,
                       {.row_sums = rows, .column_sums = columns, .row_exponents = exponents, .argmax = state.argmax});
  const auto alpha = state.exponents.alpha(), beta = state.exponents.beta();
  const double rho = options.marginal_penalty, unit = state.epsilon / kLog2E;
  const auto dual = [&](double potential) { return std::isinf(rho) ? potential : -rho * std::expm1(-potential / rho); };
  double cost = 0, objective = 0;
  result.mass = result.row_error = result.column_error = 0;
  for (std::size_t i = 0; i < n; ++i) {
    cost += alpha[i] * rows[i] - exponents[i] * unit;
    objective += state.a[i] * dual(state.f[i]);
    result.mass += rows[i];
    result.row_error += std::fabs(rows[i] - state.a[i]);
  }
  for (std::size_t j = 0; j < m; ++j) {
    cost += beta[j] * columns[j];
    objective += state.b[j] * dual(state.g[j]);
    result.column_error += std::fabs(columns[j] - state.b[j]);
  }
  result.transport_cost = cost;
  result.entropic_cost = objective - result.epsilon * (result.mass - 1);
}

}  // namespace

void SinkhornSolver::solve(const Problem& problem, const SinkhornOptions& options, SinkhornResult& result) {
  const std::int64_t n = problem.n(), m = problem.m();
  check(options, m);
  const ThreadLimit thread_limit(options.threads);
  if (options.check_input) check_finite(problem);
  const SolveLimits limits(options.max_iterations, options.max_seconds, &options.watch);
  State& state = *state_;
  result = {};
  state.problem = problem;
  state.threads = options.threads;
  state.solved = false;
  state.uniform =
      options.source_weights.empty() && options.target_weights.empty() && std::isinf(options.marginal_penalty);
  result.f.assign(static_cast<std::size_t>(n), 0.0);
  result.g.assign(static_cast<std::size_t>(m), 0.0);
  if (n == 0 || m == 0) {
    state.a.clear();
    state.b.clear();
    state.solved = true;
    state.f = result.f;
    state.g = result.g;
    return;
  }
  state.a = weights_of(options.source_weights, n, "source_weights");
  state.b = weights_of(options.target_weights, m, "target_weights");
  const CostSpread spread = cost_spread(problem);
  result.epsilon = options.epsilon * unit_of(options.unit, spread);
  const double size = std::fabs(spread.median) + spread.median_deviation;  // of the bulk: not of entries that forbid
  if (!(std::ldexp(size, -53) <= kFailAbove * result.epsilon && result.epsilon > std::numeric_limits<double>::min())) {
    result.status = SolveStatus::numerical_failure;
    result.message =
        fmt::format("epsilon {:.3g} is below the rounding of double costs of {:.3g}", result.epsilon, size);
    return;
  }
  state.exponents.reset(problem, result.epsilon, options.most_bytes);
  state.pass.reset(state.a, state.b);
  SinkhornRun(state, options, result, limits, result.epsilon).stages(first_epsilon(spread));
  state.epsilon = result.epsilon;
  result.epsilon /= state.ratio;
  result.f = state.f;
  result.g = state.g;
  result.seconds = limits.seconds();
  if (result.status == SolveStatus::numerical_failure) return;
  state.solved = true;
  measure(state, options, result);
  state.transport_cost = result.transport_cost;
  result.seconds = limits.seconds();
}

SinkhornResult solve_sinkhorn(const Problem& problem, const SinkhornOptions& options) {
  SinkhornSolver solver;
  SinkhornResult result;
  solver.solve(problem, options, result);
  return result;
}

}  // namespace otnfm
