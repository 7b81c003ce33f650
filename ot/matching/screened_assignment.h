// Exact assignment of two point clouds of equal size in many dimensions, with nearly all of the work in float.
//
// One float matrix product gives all costs to a proven error (ot/costs/gibbs_exponents.h). From it comes a start: for
// few points an assignment that is optimal for the float costs, by the dense solver; for many the potentials of a
// Sinkhorn solve at a small epsilon, whose sweeps read the matrix in order where augmenting paths would jump about in
// it. The exact solve on short lists (ot/matching/short_list_assignment.h) then has little left to do, and lists whose
// bounds hold for the true costs (ot/costs/screened_columns.h) make it optimal for those. 2 n^2 d FLOPs in float and
// n^2 floats of memory replace 3 n^2 d FLOPs in double and n^2 doubles.
#pragma once

#include "kernels/host_vector.h"
#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/costs/gibbs_exponents.h"
#include "ot/matching/dense_assignment.h"
#include "ot/matching/short_list_assignment.h"
#include "ot/sinkhorn.h"
#include "ot/solve_limits.h"

namespace otnfm {

class ScreenedAssignment {
 public:
  /// Whether it can take the problem: points, n = m, squared Euclidean or negative dot product cost.
  static bool takes(const Problem& problem);

  /// Fills sigma, f, g, iterations (augmenting paths) and status. n >= 1, d >= 1, finite points. Returns false, with
  /// nothing of use filled in, where float cannot hold the costs or lists do not pay: then another solver must be used.
  bool solve(const Problem& problem, const SolveLimits& limits, int threads, Assignment& result);

 private:
  bool solve_few(const Problem& problem, const SolveLimits& limits, int threads, Assignment& result);
  bool solve_many(const Problem& problem, const SolveLimits& limits, int threads, Assignment& result);

  GibbsExponents exponents_;
  HostVector<float> costs_;  // [n, n], but for what depends on a row or a column alone
  DenseAssignment<float> dense_;
  ShortListAssignment assignment_;
  SinkhornSolver sinkhorn_;
  SinkhornResult plan_;
};

}  // namespace otnfm
