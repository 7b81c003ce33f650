#include "ot/entropic/sinkhorn_setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

#include "kernels/error.h"
#include "kernels/host_vector.h"
#include "ot/costs/fill_rows.h"
#include "ot/costs/infinity.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

double unit_of(EpsilonUnit unit, const CostSpread& spread) {
  const double size = unit == EpsilonUnit::absolute             ? 1
                      : unit == EpsilonUnit::standard_deviation ? spread.standard_deviation
                                                                : spread.mean_size;
  // Constant costs have no deviation, and zero costs no size: any epsilon has the same plan.
  return size > 0 ? size : spread.mean_size > 0 ? spread.mean_size : 1;
}

constexpr double kLeastMass = 1e-12;  // float32 holds parts of such masses
constexpr int kSumBits = -22;         // log-sums are right to 2^this

}  // namespace

void check_options(const SinkhornOptions& options, std::int64_t m) {
  const auto positive = [](const char* name, double value) {
    if (!(value > 0)) throw InputError(fmt::format("{} is {}: it must be positive", name, value));
  };
  positive("epsilon", options.epsilon);
  if (std::isinf(options.epsilon)) throw InputError("epsilon is infinite");
  positive("tolerance", options.tolerance);
  positive("marginal_penalty", options.marginal_penalty);
  if (!(options.relaxation >= 1 && options.relaxation < 2))
    throw InputError(fmt::format("relaxation is {}: it must be in [1, 2)", options.relaxation));
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

double stage_tolerance(const SinkhornOptions& options, bool last) {
  if (!last) return std::max(options.tolerance, kStageTolerance);
  if (!std::isinf(options.marginal_penalty)) return options.tolerance;
  return options.tolerance - std::min(kPassError, options.tolerance / 16);  // a smaller one is within reach still
}

HostVector<double> marginal_of(std::span<const double> given, std::int64_t count, bool free, const char* name) {
  const auto size = static_cast<std::size_t>(count);
  if (given.empty()) return HostVector<double>(size, 1.0 / static_cast<double>(count));
  if (given.size() != size) throw InputError(fmt::format("{} has {} entries for {} points", name, given.size(), count));
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (!(given[i] >= 0 && given[i] < std::numeric_limits<double>::infinity()))
      throw InputError(fmt::format("{} holds {} at [{}]; weights are finite and not negative", name, given[i], i));
    sum += given[i];
  }
  if (!(sum > 0 && sum < std::numeric_limits<double>::infinity()))
    throw InputError(fmt::format("{} sums to {}; it must be positive and finite", name, sum));
  HostVector<double> weights(given.begin(), given.end());
  if (!free) {
    for (double& value : weights) value /= sum;
  } else if (!(sum >= kLeastMass && sum <= 1 / kLeastMass)) {
    throw InputError(
        fmt::format("{} sums to {:.3g}; free marginals have masses from {} to {}: choose another unit of mass", name,
                    sum, kLeastMass, 1 / kLeastMass));
  }
  return weights;
}

void check_allowed(const Problem& problem, std::span<const double> a, std::span<const double> b,
                   const SolveLimits& limits) {
  HostVector<char> row_allowed(a.size(), 0), column_allowed(b.size(), 0);
  std::mutex merging;
  with_element(problem.dtype(), [&](auto element) {
    using T = decltype(element);
    read_rows(problem.n(), problem.m(), &limits, [&](std::int64_t first, std::int64_t count) {
      HostVector<char> allowed(b.size(), 0);
      for (std::int64_t i = first; i < first + count; ++i) {
        const T* row = static_cast<const T*>(problem.costs.data) + i * problem.costs.row_stride;
        const bool has_mass = a[static_cast<std::size_t>(i)] > 0;
        bool any = false;
        for (std::size_t j = 0; j < b.size(); ++j) {
          const bool finite = widen(row[j]) < kInfinity;
          any |= finite && b[j] > 0;
          allowed[j] |= finite && has_mass ? 1 : 0;
        }
        row_allowed[static_cast<std::size_t>(i)] = any ? 1 : 0;
      }
      const std::scoped_lock lock(merging);
      for (std::size_t j = 0; j < b.size(); ++j) column_allowed[j] |= allowed[j];
    });
  });
  const auto refuse = [](const char* what, std::size_t index) {
    throw InputError(
        fmt::format("{} {} of the costs is infinite wherever there is mass: no plan is allowed", what, index));
  };
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] > 0 && !row_allowed[i]) refuse("row", i);
  for (std::size_t j = 0; j < b.size(); ++j)
    if (b[j] > 0 && !column_allowed[j]) refuse("column", j);
}

bool choose_epsilon(const SinkhornOptions& options, const ScaledProblem& scaled, const CostSpread& spread,
                    SinkhornResult& result) {
  const double given = options.unit == EpsilonUnit::absolute ? scaled.forth(options.epsilon) : options.epsilon;
  result.epsilon = given * unit_of(options.unit, spread);
  const double size = std::fabs(spread.median) + spread.median_deviation;  // of the bulk: not of entries that forbid
  const double all = std::max(spread.mean_size, spread.standard_deviation);
  const double price = scaled.forth(options.marginal_penalty);
  const auto too_small = [&](double value) {
    return !(std::ldexp(size, -53) <= kFailAbove * value && value > std::numeric_limits<double>::min());
  };
  if (too_small(result.epsilon)) {
    result.message = fmt::format("epsilon {:.3g} is below the rounding of double costs of {:.3g}",
                                 scaled.back(result.epsilon), scaled.back(size));
  } else if (all > 0 && !(std::ldexp(result.epsilon, kSumBits) <= kFailAbove * all)) {
    result.message = fmt::format("epsilon {:.3g} is too large beside costs of {:.3g}: float32 sums lose them",
                                 scaled.back(result.epsilon), scaled.back(all));
  } else if (too_small(price)) {
    result.message = fmt::format("marginal_penalty {:.3g} is below the rounding of double costs of {:.3g}",
                                 options.marginal_penalty, scaled.back(size));
  } else {
    return true;
  }
  result.status = SolveStatus::numerical_failure;
  return false;
}

double first_epsilon(const CostSpread& spread) {
  const double bulk = 2 * spread.median_deviation;
  return bulk > 0 ? std::min(bulk, spread.standard_deviation) : spread.standard_deviation;
}

void anneal(double first, double last, double factor, HostVector<double>& g,
            const std::function<bool(double, bool)>& stage) {
  double epsilon = last;
  while (epsilon < first * factor) epsilon /= factor;
  HostVector<double> before;  // g of the stage before
  double epsilon_before = 0;
  for (;;) {
    const bool is_last = epsilon <= last * (1 + 1e-9);
    if (is_last) epsilon = last;
    if (!stage(epsilon, is_last) || is_last) return;
    const double next = epsilon * factor;
    HostVector<double> extended = g;
    if (!before.empty()) {
      const double slope = (epsilon - next) / (epsilon_before - epsilon);
      for (std::size_t j = 0; j < g.size(); ++j) extended[j] += slope * (g[j] - before[j]);
    }
    before = std::exchange(g, std::move(extended));
    epsilon_before = epsilon;
    epsilon = next;
  }
}

void fail_by_rounding(double epsilon, SinkhornResult& result) {
  result.status = SolveStatus::numerical_failure;
  result.message =
      fmt::format("epsilon {:.3g} is too small for float32 exponents: they round to {:.2g}", epsilon, result.rounding);
}

void report_plan(const PlanSums& sums, double marginal_penalty, SinkhornResult& result) {
  const double rho = marginal_penalty;
  const auto dual = [&](double potential) { return std::isinf(rho) ? potential : -rho * std::expm1(-potential / rho); };
  double cost = 0, objective = 0, all_a = 0, all_b = 0;
  result.mass = result.row_error = result.column_error = 0;
  for (std::size_t i = 0; i < sums.a.size(); ++i) {
    cost += sums.alpha[i] * sums.row_sums[i] - sums.row_exponents[i] * sums.unit;
    all_a += sums.a[i];
    if (sums.a[i] > 0) objective += sums.a[i] * dual(result.f[i]);
    result.mass += sums.row_sums[i];
    result.row_error += std::fabs(sums.row_sums[i] - sums.a[i]);
  }
  for (std::size_t j = 0; j < sums.b.size(); ++j) {
    cost += sums.beta[j] * sums.column_sums[j];
    all_b += sums.b[j];
    if (sums.b[j] > 0) objective += sums.b[j] * dual(result.g[j]);
    result.column_error += std::fabs(sums.column_sums[j] - sums.b[j]);
  }
  result.transport_cost = cost;
  result.entropic_cost = objective - result.epsilon * (result.mass - all_a * all_b);
  if (std::isfinite(result.transport_cost) && std::isfinite(result.entropic_cost)) return;
  result.status = SolveStatus::numerical_failure;
  result.message = fmt::format("the plan costs {:.3g}, with its entropy {:.3g}, at epsilon {:.3g}",
                               result.transport_cost, result.entropic_cost, result.epsilon);
}

void report_no_plan(const SolveLimits& limits, SinkhornResult& result) {
  result.transport_cost = result.entropic_cost = result.mass = result.row_error = result.column_error =
      result.rounding = std::numeric_limits<double>::quiet_NaN();
  result.seconds = limits.seconds();
  if (result.status == SolveStatus::numerical_failure) return;
  result.status = limits.status();
  result.message =
      fmt::format("stopped after {} iterations, {:.3g} s, before there was a plan", result.iterations, result.seconds);
}

void scale_back(const ScaledProblem& scaled, SinkhornResult& result) {
  scaled.back(result.f);
  scaled.back(result.g);
  for (double* value : {&result.epsilon, &result.transport_cost, &result.entropic_cost}) *value = scaled.back(*value);
}

}  // namespace otnfm
