// What a SinkhornSolver keeps between calls: the last problem, its exponents, and the potentials of its plan.
#pragma once

#include <cstdint>

#include "kernels/host_vector.h"
#include "ot/costs/gibbs_exponents.h"
#include "ot/costs/scaled_problem.h"
#include "ot/entropic/sinkhorn_pass.h"
#include "ot/matching/short_list_assignment.h"
#include "ot/sinkhorn.h"

namespace otnfm {

struct SinkhornSolver::State {
  ScaledProblem scaled;  // all numbers below are those of the scaled problem
  Problem problem;       // scaled.problem()
  GibbsExponents exponents;
  SinkhornPass pass;
  ShortListAssignment lists;               // of a rounding; kept for its memory
  HostVector<double> a, b;                 // marginals; sum 1 but where they are free
  HostVector<double> f, g;                 // in the units of the cost
  HostVector<double> u, v;                 // the same as exponents, relative to alpha and beta
  double ratio = 1;                        // of the last epsilon to that of u and v
  double epsilon = 0, transport_cost = 0;  // of the last solve
  double spread = 0;                       // of the bulk of the last solve's costs
  HostVector<std::int64_t> argmax;
  int threads = 0;                              // of the last solve
  SolveStatus status = SolveStatus::converged;  // of the last solve
  bool solved = false;                          // there is a plan
  bool stopped = false;                         // there is none because of a limit
  bool free = false;                            // the marginals are free, at a price
  bool uniform = true;                          // balanced, without weights
  bool forbids = false;                         // some costs are infinite
};

}  // namespace otnfm
