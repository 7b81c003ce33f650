#include "ot/entropic/sinkhorn_setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "kernels/error.h"
#include "kernels/host_vector.h"

namespace otnfm {
namespace {

double unit_of(EpsilonUnit unit, const CostSpread& spread) {
  const double size = unit == EpsilonUnit::absolute             ? 1
                      : unit == EpsilonUnit::standard_deviation ? spread.standard_deviation
                                                                : spread.mean_size;
  // Constant costs have no deviation, and zero costs no size: any epsilon has the same plan.
  return size > 0 ? size : spread.mean_size > 0 ? spread.mean_size : 1;
}

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

HostVector<double> marginal_of(std::span<const double> given, std::int64_t count, const char* name) {
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
  for (double& value : weights) value /= sum;
  return weights;
}

bool choose_epsilon(const SinkhornOptions& options, const CostSpread& spread, SinkhornResult& result) {
  result.epsilon = options.epsilon * unit_of(options.unit, spread);
  const double size = std::fabs(spread.median) + spread.median_deviation;  // of the bulk: not of entries that forbid
  if (std::ldexp(size, -53) <= kFailAbove * result.epsilon && result.epsilon > std::numeric_limits<double>::min())
    return true;
  result.status = SolveStatus::numerical_failure;
  result.message = fmt::format("epsilon {:.3g} is below the rounding of double costs of {:.3g}", result.epsilon, size);
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
  double cost = 0, objective = 0;
  result.mass = result.row_error = result.column_error = 0;
  for (std::size_t i = 0; i < sums.a.size(); ++i) {
    cost += sums.alpha[i] * sums.row_sums[i] - sums.row_exponents[i] * sums.unit;
    objective += sums.a[i] * dual(result.f[i]);
    result.mass += sums.row_sums[i];
    result.row_error += std::fabs(sums.row_sums[i] - sums.a[i]);
  }
  for (std::size_t j = 0; j < sums.b.size(); ++j) {
    cost += sums.beta[j] * sums.column_sums[j];
    objective += sums.b[j] * dual(result.g[j]);
    result.column_error += std::fabs(sums.column_sums[j] - sums.b[j]);
  }
  result.transport_cost = cost;
  result.entropic_cost = objective - result.epsilon * (result.mass - 1);
}

}  // namespace otnfm
