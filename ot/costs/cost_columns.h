// Near columns of a row, in any dimension and for matrices: all m costs of the row, computed anew at each call, and the
// least k of them.
//
// Selection is one vector pass over the row, 8 m bytes: minima of blocks of columns; the k-th of those is a ceiling
// with at least k columns at or below it, which are gathered from the few blocks that reach below.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/costs/cost_rows.h"
#include "ot/matching/short_list_assignment.h"

namespace otnfm {

class CostColumns : public NearestColumns {
 public:
  /// Takes the problem over, rows and columns exchanged or not. `shift` is subtracted from whole costs, before they are
  /// made double; those of other types are left as they are. `threads` as in the solvers' options.
  void reset(const Problem& problem, bool exchanged, std::int64_t shift, int threads);

  std::int64_t rows() const { return costs_.rows(); }
  std::int64_t columns() const { return costs_.columns(); }

  /// The costs of rows [first, first + count) with all columns, row-major.
  void tile(std::int64_t first, std::int64_t count, double* out) const;

  /// The potentials [columns], which the caller owns; nearest() reads them.
  void use(std::span<const double> g) { g_ = g; }

  double nearest(std::int64_t row, std::int64_t k, HostVector<Arc>& arcs) override;
  std::int64_t work() const override { return columns() * (1 + problem_.dimension()) / 4; }

  /// Gives every row of the assignment its list of k. Returns the median over the rows of the difference between the
  /// greatest and the least reduced cost listed. Throws SolveStopped once `limits`, if not null, are reached.
  double list_all(ShortListAssignment& assignment, std::int64_t k, const SolveLimits* limits = nullptr);

 private:
  struct Scratch {
    HostVector<double> rows, reduced, minima, sorted;
    HostVector<Arc> arcs;
  };
  double select(const double* costs, std::int64_t k, Scratch& scratch, HostVector<Arc>& arcs) const;

  Problem problem_;
  bool exchanged_ = false;
  CostRows costs_;
  std::int64_t shift_ = 0;
  int threads_ = 0;
  std::span<const double> g_;
  Scratch scratch_;
  HostVector<double> spreads_;
};

}  // namespace otnfm
