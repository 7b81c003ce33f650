#include "ot/matching/short_list_assignment.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/host_vector.h"
#include "ot/costs/infinity.h"

namespace otnfm {
namespace {

// Where an auction needs more bids than this, augmenting paths are the better way on.
constexpr std::int64_t kListBidsPerRow = 200;

}  // namespace

void ShortListAssignment::reset(std::int64_t n, std::span<double> g, NearestColumns& source, std::int64_t list_length) {
  source_ = &source;
  n_ = n;
  m_ = static_cast<std::int64_t>(g.size());
  list_length_ = std::min(m_, std::max<std::int64_t>(2, list_length));
  g_ = g;
  paths_ = bids_ = spent_ = next_look_ = 0;
  budget_ = std::numeric_limits<std::int64_t>::max();
  cut_off_ = false;
  limits_ = nullptr;
  const auto rows = static_cast<std::size_t>(n), columns = g.size();
  f_.assign(rows, -kInfinity);  // feasible for any g
  bound_.assign(rows, -kInfinity);
  matched_cost_.assign(rows, 0.0);
  column_of_.assign(rows, -1);
  row_of_.assign(columns, -1);
  const std::int64_t capacity = std::min(m_, list_length_ * 3 / 2);
  arcs_.resize(rows * static_cast<std::size_t>(capacity));
  begin_.resize(rows);
  for (std::int64_t i = 0; i < n; ++i) begin_[static_cast<std::size_t>(i)] = i * capacity;
  count_.assign(rows, 0);
  capacity_.assign(rows, static_cast<std::int32_t>(capacity));
  free_rows_.clear();
  distance_.assign(columns, 0.0);
  arc_cost_.assign(columns, 0.0);
  predecessor_.assign(columns, -1);
  stamp_.assign(columns, 0);
  search_ = 0;
}

void ShortListAssignment::set_list(std::int64_t i, std::span<const Arc> arcs, double bound) {
  const auto row = static_cast<std::size_t>(i);
  const auto count = static_cast<std::int32_t>(arcs.size());
  if (count > capacity_[row]) {
    begin_[row] = static_cast<std::int64_t>(arcs_.size());
    capacity_[row] = count;
    arcs_.resize(arcs_.size() + arcs.size());
  }
  count_[row] = count;
  std::copy(arcs.begin(), arcs.end(), arcs_.begin() + begin_[row]);
  bound_[row] = bound;
}

void ShortListAssignment::look() {
  constexpr std::int64_t kBetweenLooks = 16384;
  next_look_ = spent_ + kBetweenLooks;
  if (over_budget() || (limits_ != nullptr && limits_->out_of_time())) throw SolveStopped();
}

void ShortListAssignment::relist(std::int64_t i, std::int64_t k) {
  spend(source_->work() + k);
  const double bound = source_->nearest(i, std::min(std::max(k, list_length_), m_), near_);
  set_list(i, near_, bound);
}

// The two best columns of a row, among all. A source whose bound lies below what it lists is asked for more.
ShortListAssignment::TwoBest ShortListAssignment::two_best(std::int64_t i) {
  for (std::int64_t length = list_length_;; length *= 2) {
    TwoBest best{nullptr, nullptr, kInfinity, kInfinity};
    spend(count_[static_cast<std::size_t>(i)]);
    for (const Arc& arc : list(i)) {
      const double reduced = arc.cost - g_[static_cast<std::size_t>(arc.column)];
      if (reduced < best.first_reduced) {
        best.second = best.first;
        best.second_reduced = best.first_reduced;
        best.first = &arc;
        best.first_reduced = reduced;
      } else if (reduced < best.second_reduced) {
        best.second = &arc;
        best.second_reduced = reduced;
      }
    }
    if (best.second_reduced <= bound_[static_cast<std::size_t>(i)]) return best;
    relist(i, length);
  }
}

inline void ShortListAssignment::match(std::int32_t i, const Arc& arc, std::int32_t& displaced) {
  const auto row = static_cast<std::size_t>(i), column = static_cast<std::size_t>(arc.column);
  displaced = row_of_[column];
  if (displaced >= 0) column_of_[static_cast<std::size_t>(displaced)] = -1;
  column_of_[row] = arc.column;
  row_of_[column] = i;
  matched_cost_[row] = arc.cost;
}

void ShortListAssignment::auction(double epsilon, const SolveLimits& limits, std::int64_t most_bids) {
  limits_ = &limits;
  try {
    hold_auction(epsilon, most_bids);
  } catch (const SolveStopped&) {  // with the matches so far
  }
  limits_ = nullptr;
}

void ShortListAssignment::hold_auction(double epsilon, std::int64_t most_bids) {
  if (m_ < 2) return;
  double largest = 0;
  for (std::int64_t i = 0; i < n_; ++i)
    for (const Arc& arc : list(i)) largest = std::max(largest, std::fabs(arc.cost));
  if (!(epsilon > 1e-12 * largest)) return;
  HostVector<std::int32_t>& queue = free_rows_;
  queue.clear();
  for (std::int64_t i = 0; i < n_; ++i) {
    const auto row = static_cast<std::size_t>(i);
    if (column_of_[row] >= 0) {
      const auto column = static_cast<std::size_t>(column_of_[row]);
      if (matched_cost_[row] - g_[column] <= two_best(i).first_reduced + epsilon) continue;
      row_of_[column] = -1;
      column_of_[row] = -1;
    }
    queue.push_back(static_cast<std::int32_t>(i));
  }
  // First in, first out, compacted now and then, so that no neighbourhood raises its prices alone.
  std::int64_t bids = 0;
  const std::int64_t most = std::min(most_bids, kListBidsPerRow * n_);
  for (std::size_t head = 0; head < queue.size() && bids < most; ++bids) {
    if ((bids & 255) == 0 && limits_->reached(paths_)) break;
    const std::int32_t i = queue[head++];
    const TwoBest best = two_best(i);
    ++bids_;
    g_[static_cast<std::size_t>(best.first->column)] -= best.second_reduced - best.first_reduced + epsilon;
    std::int32_t displaced = -1;
    match(i, *best.first, displaced);
    if (displaced >= 0) queue.push_back(displaced);
    if (head > 65536 && head * 2 > queue.size()) {
      queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(head));
      head = 0;
    }
  }
  queue.clear();
}

AuctionBounds ShortListAssignment::bounds(const SolveLimits& limits) {
  AuctionBounds result;
  limits_ = &limits;
  try {
    result = sum_bounds();
  } catch (const SolveStopped&) {
    std::fill(f_.begin(), f_.end(), -kInfinity);
    result.complete = false;
  }
  limits_ = nullptr;
  return result;
}

AuctionBounds ShortListAssignment::sum_bounds() {
  long double primal = 0, dual = 0;
  AuctionBounds result;
  for (std::int64_t i = 0; i < n_; ++i) {
    const auto row = static_cast<std::size_t>(i);
    dual += f_[row] = two_best(i).first_reduced;
    if (column_of_[row] < 0) {
      result.complete = false;
      continue;
    }
    primal += matched_cost_[row];
  }
  for (const double value : g_) dual += value;
  result.primal = static_cast<double>(primal);
  result.dual = static_cast<double>(dual);
  return result;
}

// A free row takes its best column and lowers that column's potential until the second best is as good; the row it
// displaces follows at once while potentials move, and waits for the next pass at a tie. The moves of a pass are
// bounded, since with rounding the differences may become arbitrarily small.
void ShortListAssignment::initialise(const SolveLimits& limits) {
  limits_ = &limits;
  std::fill(f_.begin(), f_.end(), -kInfinity);
  try {
    reduce_rows();
  } catch (const SolveStopped&) {
    cut_off_ = true;
  }
  limits_ = nullptr;
}

void ShortListAssignment::reduce_rows() {
  std::fill(column_of_.begin(), column_of_.end(), -1);
  std::fill(row_of_.begin(), row_of_.end(), -1);
  free_rows_.clear();
  for (std::int64_t i = 0; i < n_; ++i) free_rows_.push_back(static_cast<std::int32_t>(i));
  constexpr int kPasses = 3;
  for (int pass = 0; pass < kPasses && !free_rows_.empty() && m_ > 1; ++pass) {
    std::int64_t moves = 4 * n_;
    deferred_rows_.clear();
    for (std::int32_t i : free_rows_) {
      while (i >= 0) {
        const TwoBest best = two_best(i);
        const bool moved = best.first_reduced < best.second_reduced;
        const bool taken = row_of_[static_cast<std::size_t>(best.first->column)] >= 0;
        const bool second_free = row_of_[static_cast<std::size_t>(best.second->column)] < 0;
        if (--moves < 0 || ((moves & 255) == 0 && limits_->reached(paths_)) ||
            (!moved && taken && !second_free && pass + 1 == kPasses)) {
          deferred_rows_.push_back(i);
          break;
        }
        if (moved) g_[static_cast<std::size_t>(best.first->column)] -= best.second_reduced - best.first_reduced;
        std::int32_t displaced = -1;
        match(i, !moved && taken ? *best.second : *best.first, displaced);
        if (displaced >= 0 && !moved) deferred_rows_.push_back(displaced);
        i = moved ? displaced : -1;
      }
    }
    std::swap(free_rows_, deferred_rows_);
  }
  for (std::int64_t i = 0; i < n_; ++i) {
    const auto row = static_cast<std::size_t>(i);
    f_[row] = column_of_[row] >= 0 ? matched_cost_[row] - g_[static_cast<std::size_t>(column_of_[row])]
                                   : two_best(i).first_reduced;
  }
}

void ShortListAssignment::adopt(std::span<const std::int32_t> column_of, std::span<const double> matched_cost) {
  limits_ = nullptr;
  std::copy(column_of.begin(), column_of.end(), column_of_.begin());
  std::copy(matched_cost.begin(), matched_cost.end(), matched_cost_.begin());
  std::fill(row_of_.begin(), row_of_.end(), -1);
  free_rows_.clear();
  for (std::int32_t i = 0; i < n_; ++i) {
    const auto row = static_cast<std::size_t>(i);
    if (column_of_[row] < 0) {
      free_rows_.push_back(i);
      f_[row] = two_best(i).first_reduced;
      continue;
    }
    row_of_[static_cast<std::size_t>(column_of_[row])] = i;
    f_[row] = matched_cost_[row] - g_[static_cast<std::size_t>(column_of_[row])];
  }
}

bool ShortListAssignment::solve(const SolveLimits& limits) {
  limits_ = &limits;
  bool complete = false;
  try {
    complete = augment_all();
  } catch (const SolveStopped&) {
  }
  limits_ = nullptr;
  return complete;
}

bool ShortListAssignment::augment_all() {
  if (cut_off_) return false;
  while (!free_rows_.empty()) {
    if (limits_->reached(paths_)) return false;
    augment(free_rows_.back());
    free_rows_.pop_back();
    ++paths_;
  }
  return true;
}

inline void ShortListAssignment::push(Event event) {
  heap_.push_back(event);
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
}

inline ShortListAssignment::Event ShortListAssignment::pop() {
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
  const Event event = heap_.back();
  heap_.pop_back();
  return event;
}

// Relaxes the listed columns of a row at distance `reached`, in a search that has come to `level`; those beyond the
// nearest free one so far are of no use. What is off the list waits in the heap as one event, at the least distance it
// could have. A column at or below the level has been scanned, or is as good as: rounding must not bring it nearer, or
// it would be scanned, and its potential changed, twice.
inline void ShortListAssignment::scan(std::int32_t i, double reached, double level) {
  const auto row = static_cast<std::size_t>(i);
  const double offset = reached - f_[row];
  spend(count_[row]);
  for (const Arc& arc : list(i)) {
    const auto column = static_cast<std::size_t>(arc.column);
    double through = arc.cost - g_[column] + offset;
    if (through >= sink_distance_) continue;
    if (through < reached) through = reached;  // rounding
    if (stamp_[column] == search_ && distance_[column] <= std::max(through, level)) continue;
    stamp_[column] = search_;
    distance_[column] = through;
    predecessor_[column] = i;
    arc_cost_[column] = arc.cost;
    if (row_of_[column] < 0) {
      sink_distance_ = through;
      sink_ = arc.column;
    } else {
      push({through, arc.column});
    }
  }
  if (bound_[row] + offset < sink_distance_) push({std::max(reached, bound_[row] + offset), -1 - i});
}

void ShortListAssignment::augment(std::int32_t root) {
  if (++search_ == 0) {
    std::fill(stamp_.begin(), stamp_.end(), 0u);
    search_ = 1;
  }
  heap_.clear();
  scanned_.clear();
  sink_ = -1;
  sink_distance_ = kInfinity;
  scan(root, 0.0, 0.0);
  double level = 0;
  while (!heap_.empty() && heap_.front().distance < sink_distance_) {
    const Event event = pop();
    level = std::max(level, event.distance);
    if (event.column < 0) {
      const std::int32_t i = -1 - event.column;
      relist(i, 2 * static_cast<std::int64_t>(count_[static_cast<std::size_t>(i)]));
      scan(i, i == root ? 0.0 : distance_[static_cast<std::size_t>(column_of_[static_cast<std::size_t>(i)])], level);
      continue;
    }
    const auto column = static_cast<std::size_t>(event.column);
    if (event.distance > distance_[column]) continue;  // reached on a shorter way since
    scanned_.push_back(event.column);
    scan(row_of_[column], event.distance, level);
  }
  f_[static_cast<std::size_t>(root)] += sink_distance_;
  for (const std::int32_t j : scanned_) {
    const auto column = static_cast<std::size_t>(j), row = static_cast<std::size_t>(row_of_[column]);
    g_[column] -= sink_distance_ - distance_[column];
    f_[row] = matched_cost_[row] - g_[column];
  }
  for (std::int32_t j = sink_;;) {
    const auto column = static_cast<std::size_t>(j);
    const std::int32_t i = predecessor_[column];
    const auto row = static_cast<std::size_t>(i);
    row_of_[column] = i;
    matched_cost_[row] = arc_cost_[column];
    f_[row] = arc_cost_[column] - g_[column];
    std::swap(column_of_[row], j);
    if (i == root) break;
  }
}

}  // namespace otnfm
