// Exact assignment of two point clouds of equal size in few dimensions, in O(n k) memory.
//
// Coarse to fine: both clouds are put in spatial order and cut into cells; a level's points are the means of the next
// finer level's groups of 4, so each level is again an assignment problem. A solved level's row potentials f give the
// finer level's column potentials by the c-transform g_j = min_I (C(X_I, y_j) - f_I), right up to the sampling of the
// coarse level. From there a few auction phases remove the error that has a long range, and shortest augmenting paths
// end it exactly, both over short lists that grow only where a decision needs more
// (ot/matching/short_list_assignment.h). In two dimensions augmenting paths from nothing would be as long as the
// problem; from these potentials they take about ten steps.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/assignment.h"
#include "ot/cost.h"
#include "ot/costs/point_scan.h"
#include "ot/matching/short_list_assignment.h"
#include "ot/solve_limits.h"

namespace otnfm {

class MultilevelAssignment {
 public:
  /// Fills sigma, f, g, iterations (augmenting paths at all levels) and status. n = m >= 1, points, d >= 1. `budget` is
  /// how many arcs may be looked at (ShortListAssignment::set_budget): false, with nothing but iterations filled in,
  /// where that was not enough.
  bool solve(const Problem& problem, std::int64_t budget, const SolveLimits& limits, int threads, Assignment& result);

  /// The same up to a relative gap > 0, by auctions as far as they are quick. Iterations and limits count bids and
  /// paths. A warm start [m] of column potentials takes the place of the coarse levels.
  bool solve_to_gap(const Problem& problem, double max_gap, std::span<const double> warm_start, std::int64_t budget,
                    const SolveLimits& limits, int threads, Assignment& result);

  /// For problems that the dense solver could take: from where it would do no worse.
  static std::int64_t usual_budget(std::int64_t n);

 private:
  struct Level {
    HostVector<double> source, target;  // [n, d] in spatial order
  };
  // Lists for the solver at one level; block bounds are refreshed now and then, as potentials have fallen.
  class LevelColumns : public NearestColumns {
   public:
    void reset(const Level& level, std::int64_t dimension, PointScan& scan);
    double nearest(std::int64_t row, std::int64_t k, HostVector<Arc>& arcs) override;
    // A box a block of 32 columns, and the columns of a few blocks.
    std::int64_t work() const override { return static_cast<std::int64_t>(scan_->g().size()) / 16 + 300; }

   private:
    const Level* level_ = nullptr;
    std::int64_t dimension_ = 0, calls_ = 0;
    PointScan* scan_ = nullptr;
    PointScan::Scratch scratch_;
  };

  void prepare(const Problem& problem, std::size_t depth);
  bool solve_levels(std::size_t depth, const SolveLimits& limits, int threads, Assignment& result);
  bool solve_level(const Level& level, bool finest, const SolveLimits& limits, int threads);
  bool match_level(bool finest, const SolveLimits& limits);
  // These throw SolveStopped at a limit.
  void extend_potentials(const Level& coarse, const Level& fine, const SolveLimits& limits, int threads);
  void list_columns(const Level& level, const SolveLimits& limits, int threads);

  template <class Body>
  void for_rows(std::int64_t n, const SolveLimits& limits, int threads, const Body& body);

  std::int64_t dimension_ = 0;
  Cost cost_ = Cost::squared_euclidean;
  HostVector<std::int32_t> source_order_, target_order_;
  HostVector<Level> levels_;  // finest first
  PointScan scan_;
  LevelColumns columns_;
  ShortListAssignment assignment_;
  struct ThreadScratch {
    PointScan::Scratch scan;
    HostVector<Arc> arcs;
  };
  HostVector<ThreadScratch> scratch_;  // one a thread
  HostVector<double> potentials_;
  std::int64_t iterations_ = 0;
  double max_gap_ = 0;       // 0: solve every level exactly
  std::int64_t budget_ = 0;  // left, in arcs
  bool warm_ = false;
  HostVector<double> spreads_;  // of each row's list at the start of a level, greatest less least reduced cost
};

}  // namespace otnfm
