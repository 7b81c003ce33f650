// Entropic optimal transport by Sinkhorn's algorithm in the log domain, on the CPU:
//     min over plans P of  sum_ij P_ij C_ij + epsilon KL(P | a b^T),    P 1 = a, P^T 1 = b,
// whose solution is P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon). Alternating updates of f and g, one exponential a
// pair and iteration (ot/entropic/sinkhorn_pass.h); epsilon falls in stages from the spread of the costs, with g
// extrapolated along them; Anderson's mixing (kernels/fixed_point_step.h) takes a third to an eighth of the plain
// iterations, over-relaxation at its best rate two thirds. With `marginal_penalty` rho, the marginals are free at
// the price rho KL(P 1 | a) + rho KL(P^T 1 | b).
//
// Potentials are the dual solution of unregularised transport up to about epsilon: pairs rounded from them come with
// the certificate of ot/certificate.h.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// What an epsilon is a multiple of.
enum class EpsilonUnit : std::uint8_t {
  absolute,            ///< in the units of the cost
  mean_cost,           ///< of mean |C|
  standard_deviation,  ///< of the costs' standard deviation
};

struct SinkhornOptions {
  double epsilon = 0.05;
  EpsilonUnit unit = EpsilonUnit::standard_deviation;
  /// On the L1 error of the marginals (rows plus columns); unbalanced: on that of the fixed point. Passes in float32
  /// carry it to about 5e-6, so that with a smaller one the plan's own error may exceed it.
  double tolerance = 1e-3;
  /// [n], not negative; empty: uniform of sum 1. Scaled to sum 1, unless the marginals are free: then they are the
  /// masses that the price is for.
  std::span<const double> source_weights = {};
  std::span<const double> target_weights = {};                        ///< [m]
  double marginal_penalty = std::numeric_limits<double>::infinity();  ///< rho, in the units of the cost
  std::span<const double> initial_g = {};  ///< [m] a warm start; solves at the last epsilon alone
  bool annealing = true;
  double annealing_factor = 0.25;      ///< from one stage's epsilon to the next, in (0, 1)
  bool mixing = true;                  ///< Anderson's; without it the textbook's alternating updates,
  double relaxation = 1;               ///< or, in (1, 2), over-relaxed ones (Thibault et al. 2021), with a way back
  std::int64_t max_iterations = 2000;  ///< one is done in any case
  double max_seconds = std::numeric_limits<double>::infinity();
  std::int64_t most_bytes = std::int64_t{4}
                            << 30;  ///< n m costs in float32 are kept up to this; above, computed in every iteration
  int threads = 0;                  ///< 0: host::thread_count()
  SolveWatch watch = {};
  /// The clock and the watch of a larger piece of work, looked at in place of max_seconds and watch.
  const SolveLimits* limits = nullptr;
  /// Refuse NaN and infinite entries, but for the +infinity of a matrix, which forbids its pair; without it they are
  /// undefined behaviour.
  bool check_input = true;
};

/// Where a limit ended the solve before there was a plan, the figures from transport_cost to rounding are NaN.
struct SinkhornResult {
  std::vector<double> f;        ///< [n] and
  std::vector<double> g;        ///< [m] of P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon)
  double epsilon = 0;           ///< in the units of the cost; above the one asked for where a cap ended the annealing
  double transport_cost = 0;    ///< sum_ij P_ij C_ij
  double entropic_cost = 0;     ///< the dual objective: below the optimum of the regularised problem, at any (f, g)
  double mass = 0;              ///< sum_ij P_ij
  double row_error = 0;         ///< sum_i |sum_j P_ij - a_i| of the plan at (f, g), and
  double column_error = 0;      ///< sum_j |sum_i P_ij - b_j|
  double rounding = 0;          ///< of an exponent, at (f, g): each P_ij is right to about this, relatively
  std::int64_t iterations = 0;  ///< updates of f and g each, of all stages
  std::int64_t stages = 0;      ///< of epsilon
  double seconds = 0;
  SolveStatus status = SolveStatus::converged;
  std::string message;  ///< one line where the status is not converged
};

/// mean |C| and how C spreads, from all pairs up to 4096 of them, else from a sixteenth, 4096 to 16384, always the same
/// ones: the deviation is then right to one part in 90 to 180.
struct CostSpread {
  double mean_size = 0, standard_deviation = 0;
  double median = 0, median_deviation = 0;  ///< the deviation: median of |C - median C|
};
CostSpread cost_spread(const Problem& problem);

/// f_i = min_j (C_ij - g_j) in double: with it (f, g) is feasible for unregularised transport.
std::vector<double> c_transform(const Problem& problem, std::span<const double> g);

/// sum_i a_i min_j (C_ij - g_j) + sum_j b_j g_j, over columns with b_j > 0 and with a and b scaled to sum 1: no plan
/// with these marginals has a lower cost. Empty weights: uniform. NaN where `limits` (null: none) end it.
double transport_dual_bound(const Problem& problem, std::span<const double> g,
                            std::span<const double> source_weights = {}, std::span<const double> target_weights = {},
                            const SolveLimits* limits = nullptr);

/// Solves, and keeps the last problem's costs for the plan's pairs. Its memory is reused from solve to solve. One
/// thread at a time.
class SinkhornSolver {
 public:
  SinkhornSolver();
  ~SinkhornSolver();
  SinkhornSolver(SinkhornSolver&&) noexcept;
  SinkhornSolver& operator=(SinkhornSolver&&) noexcept;

  /// Costs of any size that double holds; those of +infinity in a matrix forbid their pair, which gets no mass. Throws
  /// InputError for other entries that are not finite, a row or column whose pairs are all forbidden, weights or
  /// potentials of the wrong length or not usable, and options out of range; RunError where memory does not suffice,
  /// with the bytes and what they were for, as all of the functions here do. The problem's memory must stay valid for
  /// the calls below. Empty problems (n = 0 or m = 0) are converged with cost 0.
  ///
  /// A limit or the watch ends it from every phase: at max_seconds, or within half a second with what there is.
  void solve(const Problem& problem, const SinkhornOptions& options, SinkhornResult& result);

  /// Whether the last solve kept its costs, or computed them anew in every iteration.
  bool stored() const;

  /// Whether the last solve came to a plan: not where it failed, or a limit ended it too early.
  bool has_plan() const;

  // Of the last solve's plan. sigma_i is a column for every row, several rows may have the same one; f, which is found
  // for the certificate, is -infinity without. Where a limit ended the solve before there was a plan, or `limits`
  // (null: none) end these, the status is that of the limit and what was not done -1. They throw InputError after a
  // failure.

  /// Bounds on what the plan, given its marginals exactly, costs (ot/entropic/plan_certificate.h); is_permutation is
  /// false. NaN where there is no plan, the marginals are free, or `limits` (null: none) end it.
  Certificate certify_plan(const SolveLimits* limits = nullptr);

  /// The column of the largest P_ij of each row.
  Assignment argmax_pairs(bool certify = true, const SolveLimits* limits = nullptr);

  /// A column for each row, drawn from P_i. / sum_j P_ij. The numbers depend on (seed, step, i) alone.
  Assignment sample_pairs(std::uint64_t seed, std::uint64_t step = 0, bool certify = true,
                          const SolveLimits* limits = nullptr);

  /// A permutation, from the potentials by an auction over short lists: its cost is at most max_gap |cost| above the
  /// optimum, or optimal where max_gap is 0 (shortest augmenting paths then match the rest). Needs n = m and uniform
  /// marginals: throws InputError otherwise. Status iteration_limit where max_seconds did not suffice.
  Assignment round_to_permutation(double max_gap = 0, double max_seconds = std::numeric_limits<double>::infinity(),
                                  bool certify = true);
  /// `budget` is how many arcs its lists may look at (ShortListAssignment::set_budget): numerical_failure beyond.
  Assignment round_to_permutation(double max_gap, const SolveLimits& limits, bool certify,
                                  std::int64_t budget = std::numeric_limits<std::int64_t>::max());

  struct State;

 private:
  std::unique_ptr<State> state_;
};

SinkhornResult solve_sinkhorn(const Problem& problem, const SinkhornOptions& options = {});

}  // namespace otnfm
