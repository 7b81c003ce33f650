// The transportation problem by the network simplex method (Dantzig 1951; Ahuja, Magnanti, Orlin, Network Flows, 11):
//     min sum_ij P_ij C_ij,   P 1 = a, P^T 1 = b, P >= 0.
// A basis is a spanning tree of the n + m rows and columns, with the mass that each of its pairs carries; its
// potentials have C_ij = u_i + v_j on it. A pair with C_ij < u_i + v_j enters, the mass goes round the cycle that it
// closes, and a pair that this empties leaves.
//
//   start    a greedy plan over pairs in the order of C_ij - f_i - g_j, from whatever potentials there are: with good
//            ones few pivots are left
//   pricing  blocks of rows, each row's best pair, then the best of these again and again while they are worth it;
//            first of each row's short list of near pairs, then of all pairs
//   ties     the tree stays strongly feasible (Cunningham 1976), so that pivots which move no mass cannot cycle
//
// Memory is O(n + m) beyond the costs, which are stored while they fit. The plan is feasible at every moment, so a
// limit leaves an answer, and only its cost is above the least.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/costs/cost_rows.h"
#include "ot/solve_limits.h"

namespace otnfm {

class TransportSimplex {
 public:
  /// Costs of a problem, +infinity where a pair is forbidden; they are stored where they take at most `most_bytes`. a
  /// [n] and b [m] of equal sums (rounding aside; the last column takes up the difference); no entry is negative, and
  /// one is positive on each side. Rows and columns of mass 0 take no part. Throws SolveStopped where the limits are
  /// overdue before there is a plan.
  void reset(const Problem& problem, std::span<const double> a, std::span<const double> b, std::int64_t most_bytes,
             const SolveLimits& limits);

  /// A plan from column potentials g [m], any numbers.
  void start(std::span<const double> g, const SolveLimits& limits);

  /// Pivots until the plan is optimal. False where a limit ended it, or where rounding keeps the pivots from ending:
  /// the plan is feasible then too, of a higher cost.
  bool solve(const SolveLimits& limits);

  /// The mass of forbidden pairs: above the rounding of the masses after solve() no plan avoids them.
  double forbidden_mass() const;

  std::span<const double> u() const { return {potential_.data(), static_cast<std::size_t>(n_)}; }
  std::span<const double> v() const { return {potential_.data() + n_, static_cast<std::size_t>(m_)}; }
  std::int64_t pivots() const { return pivots_; }

  /// body(i, j, mass) for the pairs of the tree, at most n + m - 1, in no order.
  template <class Body>
  void for_pairs(const Body& body) const {
    for (std::int32_t node = 0; node < n_ + m_; ++node) {
      const std::int32_t parent = parent_[static_cast<std::size_t>(node)];
      if (parent < 0) continue;
      const bool row = node < n_;
      body(static_cast<std::int64_t>(row ? node : parent), static_cast<std::int64_t>(row ? parent : node) - n_,
           mass_[static_cast<std::size_t>(node)]);
    }
  }

 private:
  struct Pair {
    double reduced, cost;
    std::int32_t row, column;
  };

  const double* row_costs(std::int64_t i, double* buffer) const;
  double finite(double cost) const { return cost < forbidden_cost_ ? cost : forbidden_cost_; }
  void collect_near_pairs(std::span<const double> g, const SolveLimits& limits);
  void hang_tree(const HostVector<Pair>& tree);
  void settle_masses();
  void settle_potentials();
  bool price(bool near, const SolveLimits& limits, bool& stopped);
  void best_of_row(std::int64_t i, double* buffer, Pair& best) const;
  void best_of_near(std::int64_t position, Pair& best) const;
  double reduced_of(const Pair& pair) const;
  bool is_worth_it(const Pair& pair, double reduced) const;
  void pivot(const Pair& entering);
  void attach(std::int32_t node, std::int32_t parent, double mass, double cost);
  void detach(std::int32_t node);
  template <class Visit>
  void for_subtree(std::int32_t root, const Visit& visit) const;

  CostRows costs_;
  HostVector<double> stored_;  // [n, m], or empty
  std::int64_t n_ = 0, m_ = 0, dimension_ = 0;
  double forbidden_cost_ = 0;
  HostVector<double> a_, b_;
  HostVector<std::int32_t> rows_, columns_;  // of positive mass

  // The tree. Nodes are the rows, then the columns; one without mass is in no tree, and its potential is -infinity.
  std::int32_t root_ = 0;
  HostVector<std::int32_t> parent_, depth_, first_child_, next_sibling_, previous_sibling_;
  HostVector<double> mass_, cost_;  // of the pair that a node makes with its parent
  HostVector<double> potential_;
  std::int64_t pivots_ = 0, next_row_ = 0;
  std::int64_t near_count_ = 0;
  HostVector<Pair> near_;  // near_count_ of each row of rows_, by C_ij - g_j
  HostVector<Pair> candidates_;
};

}  // namespace otnfm
