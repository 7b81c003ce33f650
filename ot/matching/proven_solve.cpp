#include "ot/matching/proven_solve.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ot/certificate.h"
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
  const std::int64_t at = i * points.row_stride + k;
  switch (points.dtype) {
    case DType::float32:
      return static_cast<const float*>(points.data)[at];
    case DType::bfloat16:
      return widen(static_cast<const bfloat16*>(points.data)[at]);
    default:
      return static_cast<const double*>(points.data)[at];
  }
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
    const double x = coordinate(points, a, k), y = coordinate(points, b, k);
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

void PreparedProblem::reset(const Problem& problem, bool check) {
  forbids_ = check && check_entries(problem);
  scaled_.reset(problem);
  problem_ = scaled_.problem();
  if (forbids_) replace_forbidden();
}

bool PreparedProblem::forbids(std::int64_t i, std::int64_t j) const {
  return forbids_ && pair_cost(scaled_.problem(), i, j) == kInfinity;
}

void PreparedProblem::replace_forbidden() {
  const Problem& from = scaled_.problem();
  const std::int64_t n = from.n(), m = from.m();
  costs_.resize(static_cast<std::size_t>(n * m));
  double most = 0, ranges = 0;
  long double dearest = 0, size = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    double least = kInfinity, greatest = -kInfinity;
    for (std::int64_t j = 0; j < m; ++j) {
      const double c = costs_[static_cast<std::size_t>(i * m + j)] = pair_cost(from, i, j);
      if (c == kInfinity) continue;
      least = std::min(least, c);
      greatest = std::max(greatest, c);
    }
    if (least > greatest) continue;
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
  for (double& c : costs_)
    if (c == kInfinity) c = forbidding;
  problem_ = Problem::from_matrix(View<const double>(costs_.data(), {n, m}));
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
