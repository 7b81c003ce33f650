// One iteration of Sinkhorn in one pass over the exponents, with one exponential a pair. In base 2, with marginals a, b
// and E_ij = 2^(u_i + v_j + ratio K_ij) at the potentials before it:
//     r_i = sum_j b_j E_ij,    u'_i = u_i - log2 r_i    (or a part of that, where unbalanced)
//     c_j = sum_i a_i 2^(u'_i - u_i) E_ij,    from which the caller has v'_j = v_j - log2 c_j
// A row's E stays in the nearest caches between its sum and its share of the columns' sums: n m exponentials and one
// reading of K, 4 n m bytes, where the textbook's two half-iterations take two of each.
//
// Stable without a maximum a row: near the answer r_i and c_j are about 1. A row whose sum is out of range takes its
// maximum off and is computed again; a column out of range is computed again by an online log-sum-exp over all rows.
// u and v enter E rounded to float32; what rounding took from them is given back in double (u) and by a factor beside
// b_j (v), so that the marginals are right to about 1e-6 however large u and v are.
// The sums do not depend on the number of threads: chunks of rows are fixed, and folded in order.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/costs/gibbs_exponents.h"

namespace otnfm {

class SinkhornPass {
 public:
  /// Marginals a [n], b [m], nonnegative with sum 1.
  void reset(std::span<const double> a, std::span<const double> b);

  /// What a pass makes of u: damping (u - log2 r + offset) - offset.
  struct Update {
    double ratio = 1;                     ///< multiplies K
    double damping = 1;                   ///< rho / (rho + epsilon); 1: balanced, the rows' marginal is exact after it
    std::span<const double> offset = {};  ///< [n] alpha in the units of u; read where damping < 1
  };

  /// Updates u [n]; log_sums_[j] = log2 c_j. Throws SolveStopped where `limits` (null: none) are overdue, some of u
  /// then new; read_plan() and sample() likewise.
  void run(GibbsExponents& exponents, const Update& update, std::span<double> u, std::span<const double> v,
           std::span<double> log_sums, const SolveLimits* limits = nullptr);

  /// What the plan P_ij = a_i b_j E_ij says at (u, v).
  struct Plan {
    std::span<double> row_sums;       ///< [n] of P
    std::span<double> column_sums;    ///< [m] of P
    std::span<double> row_exponents;  ///< [n] sum_j P_ij K_ij
    std::span<std::int64_t> argmax;   ///< [n] column of the largest P_ij
  };
  void read_plan(GibbsExponents& exponents, double ratio, std::span<const double> u, std::span<const double> v,
                 const Plan& plan, const SolveLimits* limits = nullptr);

  /// For each row a column drawn with probability P_ij / sum_j P_ij by the number uniform[i] in [0, 1).
  void sample(GibbsExponents& exponents, double ratio, std::span<const double> u, std::span<const double> v,
              std::span<const float> uniform, std::span<std::int64_t> column, const SolveLimits* limits = nullptr);

 private:
  static constexpr int kHeight = 4;  // rows at once: the columns' sums are read and written once for all of them

  void round_columns(std::span<const double> v, std::int64_t stride);
  void sum_columns_stably(GibbsExponents& exponents, double ratio, std::span<const double> u,
                          std::span<double> log_sums, const SolveLimits* limits);
  template <class Rows>
  void for_rows(GibbsExponents& exponents, double ratio, std::span<const double> u, const SolveLimits* limits,
                const Rows& rows);

  HostVector<double> a_, b_;
  HostVector<float> v_, weight_;         // [stride]: v rounded, and b 2^(v - v rounded); 0 in the padding
  HostVector<float> partial_, highest_;  // [chunks, stride]
};

}  // namespace otnfm
