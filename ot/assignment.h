// What every solver of an assignment problem returns: the pairing, its potentials, and the certificate that bounds how
// far it is from optimal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace otnfm {

enum class SolveStatus : std::uint8_t {
  converged,
  iteration_limit,    ///< an iteration or time cap ended the solve; sigma may be incomplete, the bound still holds
  numerical_failure,  ///< the arithmetic could not reach the answer asked for
};

const char* name_of(SolveStatus status);

/// Bounds on the cost of an assignment, computed by certify() of ot/certificate.h, which shares nothing with the
/// solvers.
struct Certificate {
  double primal_cost = 0;       ///< mean of C(i, sigma(i)) over the matched rows
  double dual_bound = 0;        ///< no assignment has a lower mean cost
  double gap = 0;               ///< (primal_cost - dual_bound) / |primal_cost|, see certify() for a cost near 0
  bool is_permutation = false;  ///< every row, or every column where there are fewer, is matched exactly once
};

struct Assignment {
  std::vector<std::int64_t> sigma;  ///< [n]: the column of row i, or -1 where it is unmatched (n > m, or a cap was hit)
  std::vector<double> f;            ///< [n] and
  std::vector<double> g;            ///< [m]: f_i + g_j <= C_ij, with equality where sigma(i) = j
  Certificate certificate;
  std::int64_t iterations = 0;  ///< what the algorithm counts: augmenting paths, bids, sweeps
  double seconds = 0;           ///< wall time with cost evaluation, without the certificate
  SolveStatus status = SolveStatus::converged;
  std::string algorithm;  ///< what the planner chose, or was told: "dense", "multilevel", ...
};

}  // namespace otnfm
