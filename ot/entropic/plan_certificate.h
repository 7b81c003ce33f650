// What a plan of Sinkhorn's is worth as transport. Its marginals are right to the tolerance alone, so its own cost may
// lie below that of every plan that has them exactly. The certificate is of the plan after it has been given its
// marginals (Altschuler, Weed, Rigollet 2017, algorithm 2): rows and columns of too much mass are scaled down, and what
// is missing then is added as the product of the missing masses. Two passes over all pairs, an exponential each.
#pragma once

#include <span>

#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

struct EntropicPlan {
  const Problem& problem;
  std::span<const double> a, b;  // [n], [m], sum 1
  std::span<const double> f, g;  // P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon)
  double epsilon;
};

/// primal_cost of the plan with its marginals, dual_bound by g or by g = 0, whichever is higher; the gap is never
/// negative. The cost and the gap are infinite where missing mass meets a pair that is forbidden. Throws SolveStopped
/// where `limits` (null: none) are overdue.
Certificate certify_plan(const EntropicPlan& plan, const SolveLimits* limits = nullptr);

}  // namespace otnfm
