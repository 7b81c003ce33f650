// What every solver of an assignment problem returns: the pairing, its potentials, and the certificate that bounds how
// far it is from optimal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace otnfm {

enum class SolveStatus : std::uint8_t {
  converged,
  iteration_limit,    ///< the limit of iterations ended the solve; the answer is what there was, and the bound holds
  time_limit,         ///< the same by the limit of seconds, or that limit left no time to prove the answer
  interrupted,        ///< the same by the caller's watch
  infeasible,         ///< forbidden pairs leave no assignment
  numerical_failure,  ///< the arithmetic could not reach the answer asked for
};

const char* name_of(SolveStatus status);

/// Bounds on the cost of an assignment, computed by certify() of ot/certificate.h from the problem, sigma and g alone:
/// they hold whatever a solver has done.
struct Certificate {
  double primal_cost = 0;       ///< mean of C(i, sigma(i)) over min(n, m), of the matched rows
  double dual_bound = 0;        ///< no assignment has a lower mean cost
  double gap = 0;               ///< (primal_cost - dual_bound) / |primal_cost|, see certify() for a cost near 0
  bool is_permutation = false;  ///< every row, or every column where there are fewer, is matched exactly once
  /// How many rows' parts of the bound were computed: n, or fewer where a limit ended the proof. The other rows then
  /// have a bound that takes no computing; where there is none dual_bound is -infinity.
  std::int64_t proven_rows = 0;
  double seconds = 0;  ///< wall time of the proof
};

struct Assignment {
  std::vector<std::int64_t> sigma;  ///< [n]: the column of row i, or -1 where it is unmatched (n > m, or forbidden)
  std::vector<double> f;            ///< [n] and
  std::vector<double> g;            ///< [m]: f_i + g_j <= C_ij, with equality where sigma(i) = j
  /// Where a limit ended the solve, the rows left over are matched to columns that are free, by reduced cost as far as
  /// that is quick; for these rows there is no equality, and f_i is -infinity where it was not known.
  Certificate certificate;
  std::int64_t iterations = 0;  ///< what the algorithm counts: augmenting paths, bids, sweeps
  double seconds = 0;           ///< wall time with cost evaluation, without the certificate
  SolveStatus status = SolveStatus::converged;
  std::string algorithm;  ///< what the planner chose, or was told: "dense", "multilevel", ...
};

}  // namespace otnfm
