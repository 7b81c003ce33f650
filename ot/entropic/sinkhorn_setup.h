// What Sinkhorn does before, between and after its iterations, on any device: options, marginals, the schedule of
// epsilon, and what a plan's sums say of it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "kernels/host_vector.h"
#include "ot/costs/gibbs_exponents.h"
#include "ot/costs/scaled_problem.h"
#include "ot/sinkhorn.h"
#include "ot/solve_limits.h"

namespace otnfm {

inline constexpr double kLog2 = 0.693147180559945309417;
// A stage that is not the last ends at this L1 error or after so many iterations: its potentials are only a start.
inline constexpr double kStageTolerance = 0.1;
inline constexpr std::int64_t kStageIterations = 12;
// What float32 passes add to the L1 error that an iteration sees, which is that of the columns.
inline constexpr double kPassError = 5e-6;
inline constexpr double kFailAbove = 0.05;  // rounding of an exponent at which the answer means nothing

/// Throws InputError for an option out of range.
void check_options(const SinkhornOptions& options, std::int64_t m);

/// The L1 error at which a stage ends: if `last`, what is asked for, less what the passes add to the marginals.
double stage_tolerance(const SinkhornOptions& options, bool last);

/// The weights given, scaled to sum 1 unless they are `free` to be any mass; uniform of sum 1 where none are given.
/// Throws InputError where they are not usable.
HostVector<double> marginal_of(std::span<const double> given, std::int64_t count, bool free, const char* name);

/// Throws InputError that names a row or column of positive mass whose every pair of positive mass is forbidden, by a
/// matrix of costs; SolveStopped where the limits are overdue.
void check_allowed(const Problem& problem, std::span<const double> a, std::span<const double> b,
                   const SolveLimits& limits);

/// Sets result.epsilon, in the units of the problem, from one in those of `scaled`. False, with the status and message
/// of a numerical failure, where it or the marginals' price is below the rounding of the costs themselves, or the costs
/// below that of float32 exponents beside it.
bool choose_epsilon(const SinkhornOptions& options, const ScaledProblem& scaled, const CostSpread& spread,
                    SinkhornResult& result);

/// Where annealing starts: at the spread of the bulk of the costs, since huge entries that stand for forbidden pairs
/// would carry potentials of their size into it.
double first_epsilon(const CostSpread& spread);

/// Runs stage(epsilon, is_last) from about `first` down to `last` by `factor`, while it returns true. Between stages g
/// goes on along the line through the last two.
void anneal(double first, double last, double factor, HostVector<double>& g,
            const std::function<bool(double, bool)>& stage);

/// Status and message of a solve whose exponents round to result.rounding, which is too much.
void fail_by_rounding(double epsilon, SinkhornResult& result);

/// Sums over a plan P with C_ij = alpha_i + beta_j - unit K_ij.
struct PlanSums {
  std::span<const double> a, b, alpha, beta;
  std::span<const double> row_sums, column_sums;  // [n], [m] of P
  std::span<const double> row_exponents;          // [n] sum_j P_ij K_ij
  double unit;
};

/// Costs, mass and marginal errors, from the sums and result.f, result.g, result.epsilon. A numerical failure where
/// they are no numbers.
void report_plan(const PlanSums& sums, double marginal_penalty, SinkhornResult& result);

/// A result without a plan: its figures are NaN, and its status says that a limit ended it.
void report_no_plan(const SolveLimits& limits, SinkhornResult& result);

/// The result's potentials, costs and epsilon, of scaled.problem(), in the units of the problem given.
void scale_back(const ScaledProblem& scaled, SinkhornResult& result);

}  // namespace otnfm
