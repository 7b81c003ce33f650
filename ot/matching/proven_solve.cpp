#include "ot/matching/proven_solve.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ot/certificate.h"
#include "ot/costs/fill_rows.h"
#include "ot/costs/infinity.h"
#include "ot/costs/pair_cost.h"
#include "ot/costs/widen.h"

namespace otnfm {
namespace {

// A proof that would take more than this of the time is not waited for: it would leave little to prove.
constexpr double kMostProof = 0.6;
// What an estimate of the proof's time may be off, and what ends after it.
constexpr double kProofMargin = 1.4, kProofSeconds = 0.02;
constexpr double kRoundingGap = 1e-9;  // that an optimal assignment may show
constexpr std::int64_t kGreedyWork = std::int64_t{1} << 27;

bool is_limit(SolveStatus status) {
  return status == SolveStatus::iteration_limit || status == SolveStatus::time_limit ||
         status == SolveStatus::interrupted;
}

double coordinate(const AnyMatrix& points, std::int64_t i, std::int64_t k) {
  return with_element(points.dtype, [&](auto element) {
    return widen(static_cast<const decltype(element)*>(points.data)[i * points.row_stride + k]);
  });
}

// The coordinate in which the points lie furthest apart.
std::int64_t widest_coordinate(const AnyMatrix& points) {
  std::int64_t widest = 0;
  double most = -1;
  for (std::int64_t k = 0; k < points.columns; ++k) {
    double least = kInfinity, greatest = -kInfinity;
    for (std::int64_t i = 0; i < points.rows; i += std::max<std::int64_t>(1, points.rows / 256)) {
      least = std::min(least, coordinate(points, i, k));
      greatest = std::max(greatest, coordinate(points, i, k));
    }
    if (greatest - least > most) {
      most = greatest - least;
      widest = k;
    }
  }
  return widest;
}

void sort_by(const AnyMatrix& points, std::int64_t k, std::span<std::int64_t> indices) {
  std::sort(indices.begin(), indices.end(), [&](std::int64_t a, std::int64_t b) {
    const auto key = [&](std::int64_t i) {
      const double value = coordinate(points, i, k);  // NaN where a limit came before a look at it
      return std::isnan(value) ? kInfinity : value;
    };
    const double x = key(a), y = key(b);
    return x != y ? x < y : a < b;
  });
}

// Forbidden pairs of the answer are no pairs. Returns how many there were.
std::int64_t leave_out_forbidden(const PreparedProblem& prepared, std::span<std::int64_t> sigma) {
  std::int64_t count = 0;
  if (!prepared.forbids()) return 0;
  for (std::size_t i = 0; i < sigma.size(); ++i)
    if (sigma[i] >= 0 && prepared.forbids(static_cast<std::int64_t>(i), sigma[i])) {
      sigma[i] = -1;
      ++count;
    }
  return count;
}

// Where costs cancel, their sum is as right as rounding lets it be beside their sizes; where all are 0, beside the size
// that certify() takes for theirs, and makes the gap relative to 1e-12 of.
bool is_proven(const Problem& problem, const ProofOptions& options, const Assignment& result) {
  const Certificate& proof = result.certificate;
  if (proof.gap <= std::max(options.max_gap, kRoundingGap)) return true;
  long double size = 0;
  for (std::int64_t i = 0; i < problem.n(); ++i)
    if (const std::int64_t j = result.sigma[static_cast<std::size_t>(i)]; j >= 0)
      size += std::fabs(pair_cost(problem, i, j));
  if (size == 0) return proof.is_permutation && proof.gap * 1e-12 <= kRoundingGap;
  const auto matched = static_cast<double>(std::min(problem.n(), problem.m()));
  return proof.is_permutation && (proof.primal_cost - proof.dual_bound) * matched <= kRoundingGap * size;
}

}  // namespace

void PreparedProblem::reset(const Problem& problem, bool check, const SolveLimits& limits) {
  problem_ = problem;
  // What is not known until all entries are seen, and would have to be taken for granted if they never are.
  forbids_ = check && problem.has_matrix && !problem.integral();
  scaled_.reset(problem, &limits);
  problem_ = scaled_.problem();
  if (check) forbids_ = check_entries(problem, &limits);
  if (forbids_) replace_forbidden(limits);
}

bool PreparedProblem::forbids(std::int64_t i, std::int64_t j) const {
  return forbids_ && pair_cost(scaled_.problem(), i, j) == kInfinity;
}

void PreparedProblem::replace_forbidden(const SolveLimits& limits) {
  const AnyMatrix& from = scaled_.problem().costs;
  const std::int64_t n = from.rows, m = from.columns;
  HostVector<double> row_least(static_cast<std::size_t>(n), kInfinity), row_greatest(row_least.size(), -kInfinity);
  with_element(from.dtype, [&](auto element) {
    using T = decltype(element);
    read_rows(n, m, &limits, [&](std::int64_t first, std::int64_t count) {
      for (std::int64_t i = first; i < first + count; ++i) {
        const T* row = static_cast<const T*>(from.data) + i * from.row_stride;
        double least = kInfinity, greatest = -kInfinity;
#pragma omp simd reduction(min : least) reduction(max : greatest)
        for (std::int64_t j = 0; j < m; ++j) {
          const double c = widen(row[j]);
          least = c < least ? c : least;
          greatest = c > greatest && c < kInfinity ? c : greatest;
        }
        row_least[static_cast<std::size_t>(i)] = least;
        row_greatest[static_cast<std::size_t>(i)] = greatest;
      }
    });
  });
  double most = 0, ranges = 0;
  long double dearest = 0, size = 0;
  for (std::size_t i = 0; i < row_least.size(); ++i) {
    const double least = row_least[i], greatest = row_greatest[i];
    if (least > greatest) continue;  // all forbidden
    most = std::max({most, std::fabs(least), std::fabs(greatest)});
    ranges += greatest - least;
    dearest += greatest;
    size += std::fabs(greatest);
  }
  // Where only some rows are matched, none of them costs more than the dearest pair.
  if (n > m) dearest = size = static_cast<long double>(m) * most;
  dearest_ = static_cast<double>(dearest + size * std::numeric_limits<double>::epsilon());
  // What every row could save; where only some are matched, also what others could in their place.
  if (n != m) ranges = 2 * static_cast<double>(std::min(n, m)) * most;
  const double forbidding = most > 0 ? 2 * (ranges + most) : 1;
  costs_ = Memory();  // the old one goes first
  costs_ = Memory(Device::cpu, static_cast<std::size_t>(n * m) * sizeof(double), "costs in place of forbidden pairs'");
  auto* const costs = reinterpret_cast<double*>(costs_.data());
  with_element(from.dtype, [&](auto element) {
    using T = decltype(element);
    read_rows(n, m, &limits, [&](std::int64_t first, std::int64_t count) {
      for (std::int64_t i = first; i < first + count; ++i) {
        const T* row = static_cast<const T*>(from.data) + i * from.row_stride;
        double* to = costs + i * m;
        for (std::int64_t j = 0; j < m; ++j) {
          const double c = widen(row[j]);
          to[j] = c == kInfinity ? forbidding : c;
        }
      }
    });
  });
  problem_ = Problem::from_matrix(View<const double>(costs, {n, m}));
}

SolveLimits limits_of_solver(const PreparedProblem& prepared, const ProofOptions& options, const SolveLimits& whole) {
  const double left = whole.seconds_left();
  if (!options.certify || left == kInfinity || left <= 0) return whole;
  const double proof = kProofMargin * estimate_proof_seconds(prepared.problem(), options.threads) + kProofSeconds;
  return whole.until(whole.max_seconds() - std::min(proof, kMostProof * left));
}

void forget(Assignment& result) {
  result.status = SolveStatus::converged;
  std::ranges::fill(result.sigma, -1);
  std::ranges::fill(result.f, -kInfinity);
  std::ranges::fill(result.g, 0.0);
}

void complete_pairing(const Problem& problem, std::span<const double> g, const SolveLimits& limits,
                      std::span<std::int64_t> sigma) {
  const std::int64_t m = problem.m();
  HostVector<std::int64_t> rows, columns;
  HostVector<char> taken(static_cast<std::size_t>(m), 0);
  for (std::size_t i = 0; i < sigma.size(); ++i)
    if (sigma[i] < 0)
      rows.push_back(static_cast<std::int64_t>(i));
    else
      taken[static_cast<std::size_t>(sigma[i])] = 1;
  for (std::int64_t j = 0; j < m; ++j)
    if (!taken[static_cast<std::size_t>(j)]) columns.push_back(j);
  if (rows.empty() || columns.empty()) return;
  const auto potential = [&](std::int64_t j) {
    const double value = g[static_cast<std::size_t>(j)];
    return std::isfinite(value) ? value : 0;
  };
  const std::int64_t pair_work = 16 + problem.dimension();
  std::int64_t work = 0;
  std::size_t next = 0;
  if (rows.size() <= columns.size()) {
    for (; next < rows.size() && work < kGreedyWork && !limits.overdue(); ++next) {
      double least = kInfinity;
      std::size_t best = 0;
      for (std::size_t c = 0; c < columns.size(); ++c)
        if (const double cost = pair_cost(problem, rows[next], columns[c]) - potential(columns[c]); cost < least) {
          least = cost;
          best = c;
        }
      work += pair_work * static_cast<std::int64_t>(columns.size());
      sigma[static_cast<std::size_t>(rows[next])] = columns[best];
      std::swap(columns[best], columns.back());
      columns.pop_back();
    }
    rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(next));
  } else {  // each column takes a row
    for (; next < columns.size() && work < kGreedyWork && !limits.overdue(); ++next) {
      double least = kInfinity;
      std::size_t best = 0;
      for (std::size_t r = 0; r < rows.size(); ++r)
        if (const double cost = pair_cost(problem, rows[r], columns[next]); cost < least) {
          least = cost;
          best = r;
        }
      work += pair_work * static_cast<std::int64_t>(rows.size());
      sigma[static_cast<std::size_t>(rows[best])] = columns[next];
      std::swap(rows[best], rows.back());
      rows.pop_back();
    }
    columns.erase(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(next));
  }
  if (!problem.has_matrix && problem.dimension() > 0) {
    const std::int64_t k = widest_coordinate(problem.source);
    sort_by(problem.source, k, rows);
    sort_by(problem.target, k, columns);
  }
  for (std::size_t r = 0; r < std::min(rows.size(), columns.size()); ++r)
    sigma[static_cast<std::size_t>(rows[r])] = columns[r];
}

void prove(const Problem& problem, const ProofOptions& options, const SolveLimits& whole, Assignment& result) {
  const Certificate& proof = result.certificate = certify(problem, result.sigma, result.g, whole, options.threads);
  const bool proven = proof.proven_rows == problem.n();
  if (!proven && result.status == SolveStatus::converged) result.status = whole.status();
  if (proven && is_limit(result.status) && options.max_gap > 0 && proof.gap <= options.max_gap)
    result.status = SolveStatus::converged;  // all the same
  if (result.status == SolveStatus::converged && !is_proven(problem, options, result))
    result.status = SolveStatus::numerical_failure;
}

void finish_and_prove(const PreparedProblem& prepared, const ProofOptions& options, const SolveLimits& whole,
                      Assignment& result) {
  const Problem& problem = prepared.problem();
  if (is_limit(result.status)) complete_pairing(problem, result.g, whole, result.sigma);
  const bool left_out = leave_out_forbidden(prepared, result.sigma) > 0 && result.status == SolveStatus::converged;
  if (left_out) result.status = SolveStatus::infeasible;
  if (options.certify) {
    prove(problem, options, whole, result);
    Certificate& proof = result.certificate;
    if (left_out) {
      // No assignment without forbidden pairs costs as much as every one costs with what stands for them.
      const auto matched = static_cast<double>(std::min(problem.n(), problem.m()));
      if (proof.proven_rows < problem.n())
        result.status = whole.status();
      else if (proof.dual_bound * matched > prepared.dearest())
        proof.dual_bound = proof.gap = kInfinity;
      else
        result.status = SolveStatus::numerical_failure;
    }
    proof.primal_cost = prepared.scaled().back(proof.primal_cost);
    proof.dual_bound = prepared.scaled().back(proof.dual_bound);
  }
  prepared.scaled().back(result.f);
  prepared.scaled().back(result.g);
}

}  // namespace otnfm
