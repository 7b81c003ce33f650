// What Sinkhorn does before, between and after its iterations, on any device: options, marginals, the schedule of
// epsilon, and what a plan's sums say of it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "kernels/host_vector.h"
#include "ot/costs/gibbs_exponents.h"
#include "ot/sinkhorn.h"

namespace otnfm {

inline constexpr double kLog2 = 0.693147180559945309417;
// A stage that is not the last ends at this L1 error or after so many iterations: its potentials are only a start.
inline constexpr double kStageTolerance = 0.1;
inline constexpr std::int64_t kStageIterations = 12;
inline constexpr double kFailAbove = 0.05;  // rounding of an exponent at which the answer means nothing

/// Throws InputError for an option out of range.
void check_options(const SinkhornOptions& options, std::int64_t m);

/// The weights given, scaled to sum 1; uniform where none are. Throws InputError where they are not usable.
HostVector<double> marginal_of(std::span<const double> given, std::int64_t count, const char* name);

/// Sets result.epsilon. False, with the status and message of a numerical failure, where it is below the rounding of
/// the costs themselves.
bool choose_epsilon(const SinkhornOptions& options, const CostSpread& spread, SinkhornResult& result);

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

/// Costs, mass and marginal errors, from the sums and result.f, result.g, result.epsilon.
void report_plan(const PlanSums& sums, double marginal_penalty, SinkhornResult& result);

}  // namespace otnfm
