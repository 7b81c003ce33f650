// The proof that comes with every result. With any column potentials g,
//     dual_bound = mean_i min_j (C_ij - g_j) + mean_j g_j  <=  the optimal mean cost,
// since f_i = min_j (C_ij - g_j) makes (f, g) dual feasible: so it holds for a solver that is wrong, and for potentials
// that are noise. One streaming pass (ot/costs/row_minima.h): differences in double, or, in many dimensions, a product
// in float32 whose proven error bound says which columns may be a row's least, which double then computes. It shares
// the loops that evaluate costs with the solvers, and nothing of what they decide. Rounding is taken off the bound, and
// its last digit rounded down.
#pragma once

#include <span>

#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// The certificate of sigma [n] (-1 where unmatched) and the column potentials g [m], for any solver's answer.
///
/// Where n != m the smaller side is matched, the means are over min(n, m), and the constraint of the larger side is an
/// inequality: its potentials are clamped at 0 from above, which keeps the bound for any g.
/// gap is (primal_cost - dual_bound) / max(|primal_cost|, 1e-12 mean |C(i, sigma(i))|): relative to what the assignment
/// costs, whatever the other costs are, with a floor for costs that cancel; 0 where the bound is met, as by an
/// assignment that costs nothing where no cost is negative. Where matched pairs cost 0 each and the bound is below, the
/// floor is 1e-12 of the least |C_ij| that is not 0. A sigma that is not one-to-one or incomplete has
/// is_permutation false and an infinite gap. A non-finite g_j is taken as 0. An infinite cost of a matrix is a pair
/// that may not be made, and no part of the bound. Numbers of any size are scaled (ot/costs/scaled_problem.h). Throws
/// InputError where sigma or g has the wrong length, or costs of points are beyond double; RunError where memory does
/// not suffice. `threads` = 0 means host::thread_count().
Certificate certify(const Problem& problem, std::span<const std::int64_t> sigma, std::span<const double> g,
                    int threads = 0);

/// The same under a limit on its time, see Certificate::proven_rows.
Certificate certify(const Problem& problem, std::span<const std::int64_t> sigma, std::span<const double> g,
                    const SolveLimits& limits, int threads = 0);

/// What sigma costs and whether it is one-to-one, without a proof: dual_bound and gap are NaN. O(n + m).
Certificate cost_of_pairs(const Problem& problem, std::span<const std::int64_t> sigma);

/// About how long a certificate takes, measured on a small part of it.
double estimate_proof_seconds(const Problem& problem, int threads = 0);

}  // namespace otnfm
