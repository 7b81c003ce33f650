#include "ot/entropic/plan_certificate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/cost_rows.h"
#include "ot/costs/infinity.h"
#include "ot/costs/pair_cost.h"

namespace otnfm {
namespace {

constexpr std::int64_t kPlanRows = 8, kMostParts = 16;

// Rows in chunks that do not depend on the threads: what they add up is the same for any number of them.
class Passes {
 public:
  Passes(const EntropicPlan& plan, const SolveLimits* limits) : plan_(plan), limits_(limits) {
    costs_.reset(plan.problem, false);
    n_ = costs_.rows();
    m_ = costs_.columns();
    chunk_rows_ = std::max<std::int64_t>(kPlanRows, (n_ + kMostParts - 1) / kMostParts);
  }

  std::int64_t chunks() const { return (n_ + chunk_rows_ - 1) / chunk_rows_; }

  /// body(chunk, row, costs [m], shares [m]) over all rows of positive mass: shares_j = P_ij scaled down, where that is
  /// too much, to what the row should have.
  template <class Body>
  void run(const Body& body) const {
    SharedLimits shared(limits_);
    host::parallel_ranges(chunks(), 1, [&](std::int64_t begin, std::int64_t end) {
      HostVector<double> tile(static_cast<std::size_t>(kPlanRows * m_)), shares(static_cast<std::size_t>(m_));
      std::int64_t unchecked = 0;
      for (std::int64_t chunk = begin; chunk < end; ++chunk) {
        const std::int64_t last = std::min(n_, (chunk + 1) * chunk_rows_);
        for (std::int64_t i = chunk * chunk_rows_; i < last; i += kPlanRows) {
          const std::int64_t count = std::min(kPlanRows, last - i);
          shared.check(count * m_ * (4 + plan_.problem.dimension()), unchecked);
          costs_.tile(i, count, tile.data(), m_);
          for (std::int64_t r = 0; r < count; ++r) {
            const auto row = static_cast<std::size_t>(i + r);
            if (plan_.a[row] == 0) continue;
            const double* costs = tile.data() + r * m_;
            share(row, costs, shares.data());
            body(chunk, row, costs, static_cast<const double*>(shares.data()));
          }
        }
      }
    });
  }

 private:
  // exp(h + log s) is the row's mass over a_i, and what is above 1 is scaled away. h alone may be beyond exp()'s range.
  void share(std::size_t row, const double* costs, double* shares) const {
    const auto m = static_cast<std::size_t>(m_);
    double highest = -kInfinity, sum = 0;
    for (std::size_t j = 0; j < m; ++j) {
      shares[j] = plan_.b[j] > 0 ? (plan_.f[row] + plan_.g[j] - costs[j]) / plan_.epsilon : -kInfinity;
      highest = std::max(highest, shares[j]);
    }
    if (highest == -kInfinity) {
      std::fill_n(shares, m, 0.0);
      return;
    }
    for (std::size_t j = 0; j < m; ++j) {
      shares[j] = shares[j] > highest - 800 ? plan_.b[j] * std::exp(shares[j] - highest) : 0;
      sum += shares[j];
    }
    const double scale = plan_.a[row] * std::min(std::exp(std::min(highest, 700.0)), 1 / sum);
    for (std::size_t j = 0; j < m; ++j) shares[j] *= scale;
  }

  const EntropicPlan& plan_;
  const SolveLimits* limits_;
  CostRows costs_;
  std::int64_t n_ = 0, m_ = 0, chunk_rows_ = 1;
};

}  // namespace

Certificate certify_plan(const EntropicPlan& plan, const SolveLimits* limits) {
  const std::size_t m = plan.b.size();
  Certificate certificate;
  if (plan.a.empty() || plan.b.empty()) return certificate;
  const Passes passes(plan, limits);
  const auto chunks = static_cast<std::size_t>(passes.chunks());

  HostVector<double> partial(chunks * m, 0.0), scale(m, 0.0), missing(m, 0.0);
  passes.run([&](std::int64_t chunk, std::size_t, const double*, const double* shares) {
    double* sums = partial.data() + static_cast<std::size_t>(chunk) * m;
    for (std::size_t j = 0; j < m; ++j) sums[j] += shares[j];
  });
  double all_missing = 0;
  for (std::size_t j = 0; j < m; ++j) {
    double sum = 0;
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * m + j];
    scale[j] = sum > plan.b[j] ? plan.b[j] / sum : 1;
    all_missing += missing[j] = std::max(0.0, plan.b[j] - scale[j] * sum);
  }

  struct Sums {
    long double primal = 0, dual = 0, plain = 0;
    long double dual_size = 0, plain_size = 0;  // of the terms
    void add_dual(double mass, double potential) {
      dual += static_cast<long double>(mass) * potential;
      dual_size += static_cast<long double>(mass) * std::fabs(potential);
    }
  };
  HostVector<Sums> sums(chunks);
  passes.run([&](std::int64_t chunk, std::size_t row, const double* costs, const double* shares) {
    double mass = 0, cost = 0, product = 0, least = kInfinity, plain = kInfinity;
    for (std::size_t j = 0; j < m; ++j) {
      if (plan.b[j] == 0) continue;
      least = std::min(least, costs[j] - plan.g[j]);
      plain = std::min(plain, costs[j]);
      if (missing[j] > 0) product += missing[j] * costs[j];
      if (shares[j] == 0) continue;
      mass += scale[j] * shares[j];
      cost += scale[j] * shares[j] * costs[j];
    }
    const double short_of = std::max(0.0, plan.a[row] - mass);
    if (short_of > 0 && all_missing > 0) cost += short_of / all_missing * product;
    Sums& own = sums[static_cast<std::size_t>(chunk)];
    own.primal += cost;
    own.add_dual(plan.a[row], least);
    own.plain += static_cast<long double>(plan.a[row]) * plain;
    own.plain_size += static_cast<long double>(plan.a[row]) * std::fabs(plain);
  });
  Sums all;
  for (const Sums& own : sums) {
    all.primal += own.primal;
    all.dual += own.dual;
    all.plain += own.plain;
    all.dual_size += own.dual_size;
    all.plain_size += own.plain_size;
  }
  for (std::size_t j = 0; j < m; ++j)
    if (plan.b[j] > 0) all.add_dual(plan.b[j], plan.g[j]);
  // C - g is rounded once, the sums and their terms to a long double's last place: together less than this.
  constexpr long double kRounding = 4 * std::numeric_limits<double>::epsilon();
  const auto bound = [](long double sum, long double size) {
    return std::isfinite(size) ? sum - size * kRounding : sum;
  };
  certificate.primal_cost = static_cast<double>(all.primal);
  certificate.dual_bound = rounded_down(std::max(bound(all.dual, all.dual_size), bound(all.plain, all.plain_size)));
  if (certificate.primal_cost > certificate.dual_bound)
    certificate.gap = (certificate.primal_cost - certificate.dual_bound) / std::fabs(certificate.primal_cost);
  return certificate;
}

}  // namespace otnfm
