#include "ot/coupler.h"

#include <algorithm>
#include <limits>
#include <string>

#include "kernels/check.h"
#include "kernels/error.h"
#include "kernels/host_vector.h"
#include "ot/certificate.h"
#include "ot/costs/cost_rows.h"
#include "ot/matching/dense_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {
namespace {

constexpr std::int64_t kMostPoints = 32768;  // 8 GiB of costs
constexpr std::int64_t kMostDimensions = std::int64_t{1} << 20;

}  // namespace

struct Coupler::State {
  Cost cost = Cost::squared_euclidean;
  std::int64_t n = 0, d = 0;  // prepared for
  CostRows rows;
  HostVector<double> matrix, g;
  HostVector<std::int64_t> sigma;
  DenseAssignment<double> dense;
  Problem problem;
};

Coupler::Coupler(Cost cost) : state_(std::make_unique<State>()) {
  state_->cost = cost;
}
Coupler::~Coupler() = default;
Coupler::Coupler(Coupler&&) noexcept = default;
Coupler& Coupler::operator=(Coupler&&) noexcept = default;

void Coupler::prepare(std::int64_t n, std::int64_t d) {
  if (n < 1 || n > kMostPoints)
    throw InputError("Coupler::prepare: 1 to " + std::to_string(kMostPoints) + " points, not " + std::to_string(n) +
                     " (solve_exact and solve_auction take more)");
  if (d < 1 || d > kMostDimensions)
    throw InputError("Coupler::prepare: 1 to " + std::to_string(kMostDimensions) + " dimensions, not " +
                     std::to_string(d));
  State& s = *state_;
  s.n = s.d = 0;
  naming_memory([&] { return "a Coupler of " + std::to_string(n) + " points, d = " + std::to_string(d); },
                [&] {
                  s.matrix.resize(static_cast<std::size_t>(n * n));
                  s.sigma.reserve(static_cast<std::size_t>(n));
                  s.g.reserve(static_cast<std::size_t>(n));
                  s.rows.reserve(n, n, d);
                  s.dense.reserve(n, n);
                });
  s.n = n;
  s.d = d;
}

void Coupler::pair(View<const float> source, View<const float> target, View<std::int64_t> sigma) {
  State& s = *state_;
  s.problem = Problem::from_points(source, target, s.cost);
  const std::int64_t n = s.problem.n(), m = s.problem.m(), d = s.problem.dimension();
  if (n > s.n || m > s.n || d > s.d)
    throw InputError("Coupler::pair: " + describe(s.problem) + ", prepared for " + std::to_string(s.n) +
                     " points, d = " + std::to_string(s.d));
  require_vector("Coupler::pair", "sigma", sigma, n);
  check_finite(s.problem);
  const bool exchanged = n > m;
  const std::int64_t few = std::min(n, m), many = std::max(n, m);
  s.sigma.assign(static_cast<std::size_t>(n), -1);
  s.g.assign(static_cast<std::size_t>(m), 0.0);
  if (few > 0) {
    s.rows.reset(s.problem, exchanged);
    s.rows.tile(0, few, s.matrix.data(), many);
    s.dense.solve(s.matrix.data(), few, many,
                  SolveLimits(std::numeric_limits<std::int64_t>::max(), std::numeric_limits<double>::infinity()));
    const HostVector<std::int64_t>& column_of = s.dense.column_of();
    for (std::size_t i = 0; i < column_of.size(); ++i)
      if (exchanged)
        s.sigma[static_cast<std::size_t>(column_of[i])] = static_cast<std::int64_t>(i);
      else
        s.sigma[i] = column_of[i];
    const HostVector<double>& g = exchanged ? s.dense.u() : s.dense.v();
    std::copy(g.begin(), g.end(), s.g.begin());
  }
  for (std::int64_t i = 0; i < n; ++i) sigma(i) = s.sigma[static_cast<std::size_t>(i)];
}

Certificate Coupler::certificate() const {
  return certify(state_->problem, state_->sigma, state_->g, /*threads=*/1);
}

}  // namespace otnfm
