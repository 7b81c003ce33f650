#include "ot/sinkhorn_plan.h"

#include <cmath>
#include <numeric>

#include "ot/costs/pair_cost.h"

namespace otnfm {
namespace {

// Free marginals keep the masses that they were given.
std::vector<double> marginal_of(std::span<const double> weights, std::int64_t count, bool free) {
  std::vector<double> out(static_cast<std::size_t>(count), 1.0 / static_cast<double>(count));
  const double sum = free ? 1.0 : std::accumulate(weights.begin(), weights.end(), 0.0);
  for (std::size_t i = 0; i < weights.size(); ++i) out[i] = weights[i] / sum;
  return out;
}

}  // namespace

SinkhornPlan::SinkhornPlan(const Problem& problem, const SinkhornOptions& options, const SinkhornResult& result)
    : problem_(problem), f_(result.f), g_(result.g), epsilon_(result.epsilon) {
  const bool free = options.marginal_penalty < std::numeric_limits<double>::infinity();
  a_ = marginal_of(options.source_weights, problem.n(), free);
  b_ = marginal_of(options.target_weights, problem.m(), free);
}

double SinkhornPlan::operator()(std::int64_t i, std::int64_t j) const {
  const auto row = static_cast<std::size_t>(i), column = static_cast<std::size_t>(j);
  return a_[row] * b_[column] * std::exp((f_[row] + g_[column] - pair_cost(problem_, i, j)) / epsilon_);
}

}  // namespace otnfm
