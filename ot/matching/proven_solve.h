// What an assignment solver does around its algorithm: numbers brought into range, forbidden pairs replaced, the time
// shared out between the solve and its proof, what a limit left over matched, and the proof.
#pragma once

#include <cstdint>
#include <limits>
#include <new>
#include <utility>

#include "kernels/host_vector.h"
#include "kernels/memory.h"
#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/costs/scaled_problem.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// A problem as solvers compute with it: scaled (ot/costs/scaled_problem.h), every cost finite. In the place of an
/// infinite cost, a pair that may not be made, stands one above what all others could save, so that an optimal
/// assignment has as few such pairs as there must be.
class PreparedProblem {
 public:
  /// With `check`, throws InputError for NaN and infinite entries but forbidden pairs; without it there must be none of
  /// either. The problem's memory must stay valid. Throws SolveStopped where the limits are overdue: then it is the
  /// problem as given, of whose entries nothing is known.
  void reset(const Problem& problem, bool check, const SolveLimits& limits);

  const Problem& problem() const { return problem_; }
  /// Whether costs are beyond what float32 holds; points' are not.
  bool wide() const { return scaled_.wide() || forbids_; }
  bool forbids() const { return forbids_; }
  bool forbids(std::int64_t i, std::int64_t j) const;
  /// Where pairs are forbidden: no assignment without them costs more in all, so that a bound above proves that there
  /// is none.
  double dearest() const { return dearest_; }
  const ScaledProblem& scaled() const { return scaled_; }

 private:
  void replace_forbidden(const SolveLimits& limits);

  ScaledProblem scaled_;
  Problem problem_;
  bool forbids_ = false;
  double dearest_ = 0;
  Memory costs_;
};

struct ProofOptions {
  bool certify = true;
  double max_gap = 0;  ///< that the solver was asked for
  int threads = 0;
};

/// When the solver has to end for the proof to be done at the end of `whole`.
SolveLimits limits_of_solver(const PreparedProblem& prepared, const ProofOptions& options, const SolveLimits& whole);

/// From what a solver found for prepared.problem(), to what is true of the problem itself: see Assignment. `result` has
/// sigma, f, g and a status.
void finish_and_prove(const PreparedProblem& prepared, const ProofOptions& options, const SolveLimits& whole,
                      Assignment& result);

/// The certificate of a solver's answer, and what it says of the status: converged only where it is proved.
void prove(const Problem& problem, const ProofOptions& options, const SolveLimits& whole, Assignment& result);

/// To nothing matched, and nothing known.
void forget(Assignment& result);

/// Runs another() for a better answer than the complete one in `result`, which is forgotten, but given back where a
/// limit ends the other or memory does not suffice for it.
template <class Another>
void solve_again(Assignment& result, const Another& another) {
  Assignment kept;
  const auto give_back = [&] {
    std::swap(result.sigma, kept.sigma);
    std::swap(result.f, kept.f);
    std::swap(result.g, kept.g);
    std::swap(result.algorithm, kept.algorithm);
  };
  try {
    kept = result;
  } catch (const std::bad_alloc&) {
    return;
  }
  forget(result);
  try {
    another();
  } catch (const SolveStopped&) {
    give_back();
    throw;
  } catch (const std::bad_alloc&) {
    give_back();
    result.status = SolveStatus::converged;
    return;
  }
  if (result.status != SolveStatus::converged) give_back();
}

/// Matches the free rows to free columns, as long as there are both: by least C_ij - g_j while the pairs looked at are
/// few enough to take no time, the rest in order of a coordinate. g [m] may be of any kind.
void complete_pairing(const Problem& problem, std::span<const double> g, const SolveLimits& limits,
                      std::span<std::int64_t> sigma);

/// solve(prepared, limits) fills the result in the units of prepared.problem(); it may throw SolveStopped. Converged
/// with a forbidden pair must mean that it looked for the optimum: then there is no assignment without one.
template <class Solve>
void solve_and_prove(PreparedProblem& prepared, const Problem& problem, bool check, const ProofOptions& options,
                     const SolveLimits& whole, Assignment& result, const Solve& solve) {
  const double began = whole.seconds();
  result.certificate = {};
  result.iterations = 0;
  result.status = SolveStatus::converged;
  try {
    prepared.reset(problem, check, whole);
  } catch (const SolveStopped&) {
    result.status = whole.status();
  }
  assign_result(result.sigma, problem.n(), std::int64_t{-1});
  const bool empty = problem.n() == 0 || problem.m() == 0;
  assign_result(result.f, problem.n(), empty ? 0.0 : -std::numeric_limits<double>::infinity());
  assign_result(result.g, problem.m(), 0.0);
  if (!empty && result.status == SolveStatus::converged) {
    const SolveLimits limits = limits_of_solver(prepared, options, whole);
    try {
      solve(prepared, limits);
    } catch (const SolveStopped&) {
      result.status = limits.status();
    }
  }
  result.seconds = whole.seconds() - began;
  finish_and_prove(prepared, options, whole, result);
}

}  // namespace otnfm
