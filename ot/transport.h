// Optimal transport between weighted points, exactly: the plan P of least cost
//     sum_ij P_ij C_ij,    P 1 = a, P^T 1 = b, P >= 0,
// for any masses and n != m. It has at most n + m - 1 entries, and comes with the proof that no plan costs less. What
// solves it is the network simplex (ot/matching/transport_simplex.h), started from Sinkhorn's potentials.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

struct TransportOptions {
  bool certify = true;  ///< one more pass over all pairs; without it dual_bound and gap are NaN
  /// Refuse NaN and infinite entries, but for the +infinity of a matrix, which forbids its pair; without it they are
  /// undefined behaviour.
  bool check_input = true;
  int threads = 0;  ///< 0: host::thread_count()
  double max_seconds = std::numeric_limits<double>::infinity();
  std::int64_t max_iterations = std::numeric_limits<std::int64_t>::max();  ///< pivots
  std::int64_t most_bytes = std::int64_t{4} << 30;  ///< n m costs in double are kept up to this; above, computed anew
  SolveWatch watch = {};
};

/// A plan by its entries that are not 0, by rows and in a row by columns, and its potentials.
struct Transport {
  std::vector<std::int64_t> rows, columns;  ///< [entries], at most n + m - 1
  std::vector<double> mass;                 ///< [entries] > 0, in the unit of the weights
  std::vector<double> f;                    ///< [n] and
  std::vector<double> g;                    ///< [m]: once converged f_i + g_j <= C_ij, with equality at the entries
  double total_mass = 0;                    ///< sum_i a_i
  double primal_cost = 0;                   ///< sum P_ij C_ij over the mass, and
  double dual_bound = 0;                    ///< what no plan is below, (sum a_i f_i + sum b_j g_j) over the mass
  /// (primal_cost - dual_bound) / max(|primal_cost|, 1e-12 sum P_ij |C_ij|), 0 where they are equal, infinite where the
  /// plan has forbidden pairs. A plan that costs nothing is judged as by certify(), beside the least cost that is not
  /// 0.
  double gap = 0;
  double marginal_error = 0;       ///< sum_i |sum_j P_ij - a_i| + sum_j |sum_i P_ij - b_j| over the mass
  std::int64_t iterations = 0;     ///< pivots
  double seconds = 0;              ///< wall time with cost evaluation, without the certificate
  double certificate_seconds = 0;  ///< wall time of the proof
  /// Converged says that the plan is optimal, and with `certify` that the gap proves it to rounding; numerical_failure
  /// that it does not. A limit's: the plan is one, with the gap that it says. Where time was out before the costs could
  /// be looked at, it takes rows and columns in their order; where it was out before the proof, dual_bound and gap are
  /// NaN.
  SolveStatus status = SolveStatus::converged;
};

/// source_weights [n] and target_weights [m]: masses, not negative; empty for equal ones of sum 1, or of the sum of the
/// other side. Their sums must agree to one part in 10^6; the target's are scaled to the source's. Costs of any size
/// that double holds; those of +infinity in a matrix forbid their pair. Masses that only rounding can have left, below
/// 2^-52 of the whole, or 1e-12 on forbidden pairs, are no entries of the plan.
///
/// Throws InputError for other entries that are not finite, weights of the wrong length or not usable, sums that do not
/// agree (it names both), and where every plan needs a forbidden pair; RunError where memory does not suffice, with the
/// bytes and what they were for. A problem without rows or columns has no entries and cost 0.
Transport solve_transport(const Problem& problem, std::span<const double> source_weights,
                          std::span<const double> target_weights, const TransportOptions& options = {});

/// The plan as pairs: sigma is the column of each row's largest entry, -1 where a row has none, and the certificate the
/// plan's, with is_permutation where it has one entry in every row and column. Its potentials are moved from it.
Assignment largest_parts(const Problem& problem, Transport& plan);

}  // namespace otnfm
