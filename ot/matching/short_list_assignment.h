// Assignment over all pairs, reading only the few that matter: each row keeps a short list of its best columns and the
// bound that every column off the list is at or above. Column potentials g only ever fall, so reduced costs C_ij - g_j
// only rise and a bound stays true: a list is made anew just when a decision would reach past its bound. Hence every
// step here is that of the algorithm on the complete graph, and no pricing is needed afterwards. O(n k) memory.
//
//   auction(epsilon)  one phase of Bertsekas' forward auction: potentials within epsilon of optimal, whatever they were
//                     before
//   initialise()      drops what is not tight, then augmenting row reduction (Jonker & Volgenant)
//   solve()           shortest augmenting paths (Dijkstra with potentials) for the rows still free: exact
#pragma once

#include <cstdint>
#include <limits>
#include <span>

#include "kernels/host_vector.h"
#include "ot/matching/epsilon_scaling.h"
#include "ot/solve_limits.h"

namespace otnfm {

struct Arc {
  double cost;  ///< C_ij
  std::int32_t column;
};

/// Where lists come from.
class NearestColumns {
 public:
  virtual ~NearestColumns() = default;
  /// Fills `arcs` with about k columns (k at the least, where there are as many) of least C_ij - g_j for the present g.
  /// Returns the bound that all others are at or above; infinity where there are no others.
  virtual double nearest(std::int64_t row, std::int64_t k, HostVector<Arc>& arcs) = 0;
  /// About what a call costs, in arcs that are looked at.
  virtual std::int64_t work() const = 0;
};

class ShortListAssignment : public AuctionPhases {
 public:
  /// n rows, n <= g.size() columns, nothing matched. g is read and lowered in place. Where n < g.size(), g must be 0 at
  /// the start: a column left free must keep the largest potential, so what an auction has matched must stay so.
  void reset(std::int64_t n, std::span<double> g, NearestColumns& source, std::int64_t list_length);

  /// How many arcs may be looked at, lists included, before auction(), initialise() and solve() give up as at a limit;
  /// then over_budget(). Where lists do not pay, as their rows' reach grows over most columns, another solver had
  /// better take over. No limit after reset().
  void set_budget(std::int64_t arcs) { budget_ = arcs; }
  bool over_budget() const { return spent_ > budget_; }
  std::int64_t spent() const { return spent_; }

  /// Gives row i its list and its bound, as NearestColumns::nearest has them. Rows without one ask for it when they
  /// need it. Different rows may be given theirs by different threads.
  void set_list(std::int64_t i, std::span<const Arc> arcs, double bound);

  std::int64_t rows() const override { return n_; }
  std::int64_t columns() const override { return m_; }
  void auction(double epsilon, const SolveLimits& limits,
               std::int64_t most_bids = std::numeric_limits<std::int64_t>::max()) override;
  /// Sets f.
  AuctionBounds bounds(const SolveLimits& limits) override;
  std::int64_t bids() const override { return bids_; }

  /// Unmatches everything, then matches at zero reduced cost what augmenting row reduction can.
  void initialise(const SolveLimits& limits);

  /// In place of initialise(): takes over the matches of an auction that was held elsewhere, -1 where there is none,
  /// and what they cost. solve() then matches the rest by what are shortest paths up to the auction's epsilon, and
  /// leaves the others within it.
  void adopt(std::span<const std::int32_t> column_of, std::span<const double> matched_cost);

  /// Matches every row, optimally. False at a limit.
  bool solve(const SolveLimits& limits);

  std::span<const double> f() const { return f_; }
  std::span<const double> g() const { return g_; }
  std::span<const std::int32_t> column_of() const { return column_of_; }  ///< [n], -1 where free
  std::int64_t paths() const { return paths_; }

 private:
  struct TwoBest {
    const Arc *first, *second;
    double first_reduced, second_reduced;
  };
  // What a search does next: scan the row matched to `column`, or, for a negative one, lengthen the list of row -1 -
  // column.
  struct Event {
    double distance;
    std::int32_t column;
    bool operator>(const Event& other) const { return distance > other.distance; }
  };

  std::span<const Arc> list(std::int64_t i) const {
    const auto row = static_cast<std::size_t>(i);
    return {arcs_.data() + begin_[row], static_cast<std::size_t>(count_[row])};
  }
  // Throws SolveStopped at a limit, or over the budget; where nothing is half done.
  void spend(std::int64_t arcs) {
    spent_ += arcs;
    if (spent_ >= next_look_) look();
  }
  void look();
  void hold_auction(double epsilon, std::int64_t most_bids);
  void reduce_rows();
  bool augment_all();
  AuctionBounds sum_bounds();
  void relist(std::int64_t i, std::int64_t k);
  TwoBest two_best(std::int64_t i);
  void match(std::int32_t i, const Arc& arc, std::int32_t& displaced);
  void augment(std::int32_t root);
  void scan(std::int32_t row, double reached, double level);
  void push(Event event);
  Event pop();

  NearestColumns* source_ = nullptr;
  std::int64_t n_ = 0, m_ = 0, list_length_ = 0;
  std::int64_t paths_ = 0, bids_ = 0;
  std::int64_t spent_ = 0, next_look_ = 0, budget_ = 0;
  const SolveLimits* limits_ = nullptr;  // of the call under way
  bool cut_off_ = false;                 // initialise() was, and left no consistent state
  std::span<double> g_;
  HostVector<double> f_, bound_;
  HostVector<std::int32_t> column_of_, row_of_;
  HostVector<double> matched_cost_;  // of the arc to column_of_, so that f_i comes from g without rounding drift
  HostVector<Arc> arcs_;
  HostVector<std::int64_t> begin_;
  HostVector<std::int32_t> count_, capacity_;
  HostVector<std::int32_t> free_rows_, deferred_rows_;
  HostVector<Arc> near_;

  // Of the search under way; a column's entries count while its stamp is the search's.
  HostVector<double> distance_, arc_cost_;
  HostVector<std::int32_t> predecessor_;
  HostVector<std::uint32_t> stamp_;
  std::uint32_t search_ = 0;
  HostVector<Event> heap_;
  HostVector<std::int32_t> scanned_;
  double sink_distance_ = 0;
  std::int32_t sink_ = -1;
};

}  // namespace otnfm
