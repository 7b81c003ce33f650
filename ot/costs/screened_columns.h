// Near columns of a row found in float, with bounds that hold for the true costs: reads the exponents that Sinkhorn
// keeps (ot/costs/gibbs_exponents.h), 4 m bytes a row, and computes in double only the costs of the columns that it
// lists.
//
// With w_j = beta_j - g_j, the float reduced cost r_j = w_j - K_ij / scale differs from the true C_ij - g_j - alpha_i
// by at most delta_i (what K itself may be off, GibbsExponents::error) + 8 u (|r_j| + max |w|), u = 2^-24: w, 1 /
// scale, the product and the difference are each rounded once, and |K_ij| / scale <= |w_j| + |r_j|. That lower bound
// rises with r_j, so it holds for every column off the list at the least r_j among them.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/costs/gibbs_exponents.h"
#include "ot/matching/short_list_assignment.h"

namespace otnfm {

class ScreenedColumns : public NearestColumns {
 public:
  /// All must outlive it; the exponents must be stored. g [m] is read at each call.
  ScreenedColumns(const Problem& problem, const GibbsExponents& exponents, std::span<const double> g)
      : problem_(problem), exponents_(exponents), g_(g) {}

  double nearest(std::int64_t row, std::int64_t k, HostVector<Arc>& arcs) override {
    return select(row, k, scratch_, arcs);
  }
  std::int64_t work() const override { return static_cast<std::int64_t>(g_.size()) / 4; }

  /// Gives every row of the assignment its list of about k; rows are shared among `threads` (0: host::thread_count()).
  /// Throws SolveStopped once `limits`, if not null, are reached.
  void list_all(ShortListAssignment& assignment, std::int64_t k, int threads,
                const SolveLimits* limits = nullptr) const;

 private:
  struct Scratch {
    HostVector<float> reduced, least, order;
  };
  double select(std::int64_t row, std::int64_t k, Scratch& scratch, HostVector<Arc>& arcs) const;

  const Problem& problem_;
  const GibbsExponents& exponents_;
  std::span<const double> g_;
  Scratch scratch_;
};

}  // namespace otnfm
