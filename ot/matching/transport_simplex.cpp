#include "ot/matching/transport_simplex.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

#include "kernels/host/parallel.h"
#include "ot/costs/infinity.h"

namespace otnfm {
namespace {

constexpr std::int32_t kNone = -1;
constexpr std::int64_t kNear = 16;                              // pairs of a row's short list
constexpr std::int64_t kColumns = 64;                           // columns whose minimum is one number
constexpr std::int64_t kBlockPairs = std::int64_t{1} << 14;     // priced before the first pivot
constexpr std::int64_t kParallelPairs = std::int64_t{1} << 17;  // priced by more than one thread
constexpr double kRounding = 0x1p-46;                           // of a reduced cost, of the sizes that it is made of

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

// What is left of a node's mass, and of the grain, an infinitesimal mass that each row and column but the root sends to
// the root. The grains decide ties: no two nodes are ever exhausted at once, and the tree is strongly feasible.
struct Left {
  double mass = 0;
  std::int64_t grains = 0;
  bool operator<(const Left& other) const { return mass < other.mass || (mass == other.mass && grains < other.grains); }
  void take(const Left& other) {
    mass -= other.mass;
    grains -= other.grains;
  }
};

}  // namespace

void TransportSimplex::reset(const Problem& problem, std::span<const double> a, std::span<const double> b,
                             std::int64_t most_bytes, const SolveLimits& limits) {
  costs_.reset(problem, false);
  n_ = costs_.rows();
  m_ = costs_.columns();
  dimension_ = problem.dimension();
  a_.assign(a.begin(), a.end());
  b_.assign(b.begin(), b.end());
  rows_.clear();
  columns_.clear();
  for (std::int64_t i = 0; i < n_; ++i)
    if (a_[at(i)] > 0) rows_.push_back(static_cast<std::int32_t>(i));
  for (std::int64_t j = 0; j < m_; ++j)
    if (b_[at(j)] > 0) columns_.push_back(static_cast<std::int32_t>(j));
  stored_.clear();
  if (n_ <= most_bytes / static_cast<std::int64_t>(sizeof(double)) / std::max<std::int64_t>(1, m_)) {
    constexpr std::int64_t kTile = 8;
    stored_.resize(at(n_ * m_));
    SharedLimits shared(&limits);
    host::parallel_ranges((n_ + kTile - 1) / kTile, 4, [&](std::int64_t begin, std::int64_t end) {
      std::int64_t unchecked = 0;
      for (std::int64_t i = begin * kTile; i < std::min(n_, end * kTile); i += kTile) {
        const std::int64_t count = std::min(kTile, n_ - i);
        shared.check(count * m_ * (1 + dimension_), unchecked);
        costs_.tile(i, count, stored_.data() + i * m_, m_);
      }
    });
  }
  pivots_ = next_row_ = 0;
}

// Row i of the costs: where they are stored, or in the buffer [m].
const double* TransportSimplex::row_costs(std::int64_t i, double* buffer) const {
  if (!stored_.empty()) return stored_.data() + i * m_;
  costs_.tile(i, 1, buffer, m_);
  return buffer;
}

// The kNear pairs of each row of least C_ij - g_j, reduced by the least of them. Sets what a forbidden pair costs in
// the tree: more than any way around it.
void TransportSimplex::collect_near_pairs(std::span<const double> g, const SolveLimits& limits) {
  const std::int64_t near = near_count_ = std::min<std::int64_t>(kNear, static_cast<std::int64_t>(columns_.size()));
  near_.resize(rows_.size() * at(near));
  SharedLimits shared(&limits);
  const auto count = static_cast<std::int64_t>(rows_.size());
  host::parallel_ranges(count, std::max<std::int64_t>(1, kParallelPairs / m_),
                        [&](std::int64_t begin, std::int64_t end) {
                          HostVector<double> buffer(at(m_)), reduced(columns_.size());
                          HostVector<std::int32_t> order(columns_.size());
                          std::int64_t unchecked = 0;
                          for (std::int64_t k = begin; k < end; ++k) {
                            shared.check(m_ * (4 + dimension_), unchecked);
                            const std::int32_t i = rows_[at(k)];
                            const double* costs = row_costs(i, buffer.data());
                            for (std::size_t c = 0; c < columns_.size(); ++c)
                              reduced[c] = costs[columns_[c]] - g[at(columns_[c])];
                            std::iota(order.begin(), order.end(), 0);
                            const auto less = [&](std::int32_t x, std::int32_t y) {
                              return reduced[at(x)] < reduced[at(y)] || (reduced[at(x)] == reduced[at(y)] && x < y);
                            };
                            std::partial_sort(order.begin(), order.begin() + near, order.end(), less);
                            for (std::int64_t c = 0; c < near; ++c) {
                              const std::int32_t j = columns_[at(order[at(c)])];
                              const double of_pair = reduced[at(order[at(c)])];
                              // Where all pairs are forbidden there is no least to take off.
                              near_[at(k * near + c)] = {
                                  of_pair < kInfinity ? of_pair - reduced[at(order[0])] : kInfinity, costs[j], i, j};
                            }
                          }
                        });
}

void TransportSimplex::start(std::span<const double> g, const SolveLimits& limits) {
  HostVector<double> buffer(at(m_));
  double largest = 0;
  SharedLimits shared(&limits);
  std::int64_t unchecked = 0;
  for (const std::int32_t i : rows_) {
    shared.check(m_ * (1 + dimension_), unchecked);
    const double* costs = row_costs(i, buffer.data());
    for (std::int64_t j = 0; j < m_; ++j)
      if (std::fabs(costs[j]) < kInfinity) largest = std::max(largest, std::fabs(costs[j]));
  }
  forbidden_cost_ =
      2 * (largest + std::numeric_limits<double>::min()) * static_cast<double>(rows_.size() + columns_.size());

  HostVector<Pair> tree;
  collect_near_pairs(g, limits);
  HostVector<Pair> pairs = near_;
  std::sort(pairs.begin(), pairs.end(), [](const Pair& x, const Pair& y) {
    return std::tie(x.reduced, x.row, x.column) < std::tie(y.reduced, y.row, y.column);
  });
  HostVector<Left> row_left(at(n_)), column_left(at(m_));
  HostVector<char> row_open(at(n_), 0), column_open(at(m_), 0);
  for (const std::int32_t i : rows_) {
    row_left[at(i)] = {a_[at(i)], 1};
    row_open[at(i)] = 1;
  }
  for (const std::int32_t j : columns_) {
    column_left[at(j)] = {b_[at(j)], -1};
    column_open[at(j)] = 1;
  }
  const std::int32_t last = columns_.back();
  column_left[at(last)].grains = static_cast<std::int64_t>(rows_.size() + columns_.size()) - 1;
  root_ = static_cast<std::int32_t>(n_) + last;
  std::size_t open_rows = rows_.size(), open_columns = columns_.size();
  // The pair takes what the smaller side has left, which then takes no further part. The last of a side stays until the
  // other side is done, whatever rounding says.
  const auto take = [&](std::int32_t i, std::int32_t j, double cost) {
    Left &row = row_left[at(i)], &column = column_left[at(j)];
    const bool row_goes = open_rows == 1 ? open_columns == 1 : open_columns == 1 || row < column;
    const Left taken = row_goes ? row : column;
    tree.push_back({taken.mass > 0 ? taken.mass : 0, finite(cost), i, j});
    row.take(taken);
    column.take(taken);
    if (row_goes) {
      row_open[at(i)] = 0;
      --open_rows;
    } else {
      column_open[at(j)] = 0;
      --open_columns;
    }
  };
  for (const Pair& pair : pairs)
    if (row_open[at(pair.row)] && column_open[at(pair.column)] && pair.cost < kInfinity && open_rows > 0)
      take(pair.row, pair.column, pair.cost);
  // What is left over, row by row: the nearest columns with room, off a heap, since a row may take many.
  HostVector<std::pair<double, std::int32_t>> nearest;
  for (const std::int32_t i : rows_) {
    if (!row_open[at(i)]) continue;
    shared.check(m_ * (1 + dimension_), unchecked);
    const double* costs = row_costs(i, buffer.data());
    nearest.clear();
    for (const std::int32_t j : columns_)
      if (column_open[at(j)]) nearest.emplace_back(finite(costs[j]) - g[at(j)], j);
    std::make_heap(nearest.begin(), nearest.end(), std::greater<>{});
    while (row_open[at(i)] && open_rows > 0) {
      shared.check(64, unchecked);  // a step down the heap, of cache misses
      std::pop_heap(nearest.begin(), nearest.end(), std::greater<>{});
      const std::int32_t best = nearest.back().second;
      nearest.pop_back();
      take(i, best, costs[best]);
    }
  }
  hang_tree(tree);
  settle_potentials();
}

void TransportSimplex::attach(std::int32_t node, std::int32_t parent, double mass, double cost) {
  parent_[at(node)] = parent;
  mass_[at(node)] = mass;
  cost_[at(node)] = cost;
  const std::int32_t sibling = first_child_[at(parent)];
  next_sibling_[at(node)] = sibling;
  previous_sibling_[at(node)] = kNone;
  if (sibling != kNone) previous_sibling_[at(sibling)] = node;
  first_child_[at(parent)] = node;
}

void TransportSimplex::detach(std::int32_t node) {
  const std::int32_t before = previous_sibling_[at(node)], after = next_sibling_[at(node)];
  if (before != kNone)
    next_sibling_[at(before)] = after;
  else
    first_child_[at(parent_[at(node)])] = after;
  if (after != kNone) previous_sibling_[at(after)] = before;
}

// A node before its children.
template <class Visit>
void TransportSimplex::for_subtree(std::int32_t root, const Visit& visit) const {
  std::int32_t node = root;
  for (;;) {
    visit(node);
    if (first_child_[at(node)] != kNone) {
      node = first_child_[at(node)];
      continue;
    }
    while (node != root && next_sibling_[at(node)] == kNone) node = parent_[at(node)];
    if (node == root) return;
    node = next_sibling_[at(node)];
  }
}

// The tree of these pairs, whose `reduced` is their mass.
void TransportSimplex::hang_tree(const HostVector<Pair>& tree) {
  const std::size_t nodes = at(n_ + m_);
  for (auto* links : {&parent_, &first_child_, &next_sibling_, &previous_sibling_}) links->assign(nodes, kNone);
  depth_.assign(nodes, 0);
  mass_.assign(nodes, 0.0);
  cost_.assign(nodes, 0.0);
  potential_.assign(nodes, -kInfinity);
  // Pairs of each node, one after the other.
  HostVector<std::int64_t> begin(nodes + 1, 0);
  const auto ends = [&](const Pair& pair) { return std::pair{pair.row, static_cast<std::int32_t>(n_) + pair.column}; };
  for (const Pair& pair : tree) {
    ++begin[at(ends(pair).first) + 1];
    ++begin[at(ends(pair).second) + 1];
  }
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  HostVector<std::int32_t> incident(2 * tree.size());
  HostVector<std::int64_t> fill(begin.begin(), begin.end() - 1);
  for (std::size_t k = 0; k < tree.size(); ++k)
    for (const std::int32_t node : {ends(tree[k]).first, ends(tree[k]).second})
      incident[at(fill[at(node)]++)] = static_cast<std::int32_t>(k);
  HostVector<std::int32_t> queue(1, root_);
  for (std::size_t head = 0; head < queue.size(); ++head) {
    const std::int32_t node = queue[head];
    for (std::int64_t k = begin[at(node)]; k < begin[at(node) + 1]; ++k) {
      const Pair& pair = tree[at(incident[at(k)])];
      const auto [row, column] = ends(pair);
      const std::int32_t other = node == row ? column : row;
      if (other == parent_[at(node)]) continue;
      attach(other, node, pair.reduced, pair.cost);
      depth_[at(other)] = depth_[at(node)] + 1;
      queue.push_back(other);
    }
  }
}

// The masses of the tree, from those of its nodes alone, so that no pivot's rounding is left.
void TransportSimplex::settle_masses() {
  // What a subtree sends to its parent; in long double, so that equal masses of both sides cancel without a rest.
  HostVector<long double> net(at(n_ + m_), 0.0L);
  for (const std::int32_t i : rows_) net[at(i)] = a_[at(i)];
  for (const std::int32_t j : columns_) net[at(n_ + j)] = -b_[at(j)];
  HostVector<std::int32_t> order;
  for_subtree(root_, [&](std::int32_t node) { order.push_back(node); });
  for (auto node = order.rbegin(); *node != root_; ++node) {
    net[at(parent_[at(*node)])] += net[at(*node)];
    mass_[at(*node)] = std::max(0.0, static_cast<double>(*node < n_ ? net[at(*node)] : -net[at(*node)]));
  }
}

void TransportSimplex::settle_potentials() {
  potential_[at(root_)] = 0;
  for_subtree(root_, [&](std::int32_t node) {
    if (node != root_) potential_[at(node)] = cost_[at(node)] - potential_[at(parent_[at(node)])];
  });
}

double TransportSimplex::reduced_of(const Pair& pair) const {
  return pair.cost - potential_[at(pair.row)] - potential_[at(n_ + pair.column)];
}

bool TransportSimplex::is_worth_it(const Pair& pair, double reduced) const {
  return reduced < -kRounding * (std::fabs(pair.cost) + std::fabs(potential_[at(pair.row)]) +
                                 std::fabs(potential_[at(n_ + pair.column)]));
}

// The pair of row i of least reduced cost.
void TransportSimplex::best_of_row(std::int64_t i, double* buffer, Pair& best) const {
  const double *costs = row_costs(i, buffer), *v = potential_.data() + n_;
  double least = kInfinity;
  std::int64_t block = 0;
  for (std::int64_t begin = 0; begin < m_; begin += kColumns) {
    const std::int64_t end = std::min(m_, begin + kColumns);
    double lowest = kInfinity;
#pragma omp simd reduction(min : lowest)
    for (std::int64_t j = begin; j < end; ++j) {
      const double reduced = costs[j] - v[j];
      lowest = reduced < lowest ? reduced : lowest;
    }
    if (lowest < least) {
      least = lowest;
      block = begin;
    }
  }
  std::int64_t j = block;
  while (j + 1 < std::min(m_, block + kColumns) && costs[j] - v[j] != least) ++j;
  best = {least - potential_[at(i)], costs[j], static_cast<std::int32_t>(i), static_cast<std::int32_t>(j)};
}

// The same of the short list of the row at `position` in rows_.
void TransportSimplex::best_of_near(std::int64_t position, Pair& best) const {
  const Pair* near = near_.data() + position * near_count_;
  double least = kInfinity;
  best = near[0];
  for (std::int64_t k = 0; k < near_count_; ++k) {
    const double reduced = near[k].cost - potential_[at(n_ + near[k].column)];
    if (reduced < least) {
      least = reduced;
      best = near[k];
    }
  }
}

// Prices blocks of rows in turn, all their pairs or their short lists, and pivots on what they offer. False where all
// rows, one after the other, had nothing.
bool TransportSimplex::price(bool near, const SolveLimits& limits, bool& stopped) {
  const auto rows = static_cast<std::int64_t>(rows_.size());
  const std::int64_t width = near ? near_count_ : m_;
  const std::int64_t block = std::clamp<std::int64_t>(kBlockPairs / width, 1, rows);
  candidates_.resize(at(block));
  HostVector<double> buffer(at(m_));
  bool any = false;
  for (std::int64_t priced = 0; priced < rows;) {
    if (limits.reached(pivots_)) {
      stopped = true;
      return false;
    }
    const std::int64_t count = std::min(block, rows - priced);
    const auto of_block = [&](std::int64_t k) { return rows_[at((next_row_ + k) % rows)]; };
    if (near) {
      for (std::int64_t k = 0; k < count; ++k) best_of_near((next_row_ + k) % rows, candidates_[at(k)]);
    } else if (count * m_ * (1 + (stored_.empty() ? dimension_ : 0)) < kParallelPairs) {
      for (std::int64_t k = 0; k < count; ++k) best_of_row(of_block(k), buffer.data(), candidates_[at(k)]);
    } else {
      host::parallel_ranges(count, 1, [&](std::int64_t begin, std::int64_t end) {
        HostVector<double> own(stored_.empty() ? at(m_) : 0);
        for (std::int64_t k = begin; k < end; ++k) best_of_row(of_block(k), own.data(), candidates_[at(k)]);
      });
    }
    next_row_ = (next_row_ + count) % rows;
    priced += count;
    std::int64_t left = count;
    for (;;) {
      std::int64_t best = kNone;
      for (std::int64_t k = 0; k < left;) {
        Pair& pair = candidates_[at(k)];
        pair.reduced = reduced_of(pair);
        if (!is_worth_it(pair, pair.reduced)) {
          pair = candidates_[at(--left)];
          continue;
        }
        if (best == kNone || pair.reduced < candidates_[at(best)].reduced) best = k;
        ++k;
      }
      if (best == kNone) break;
      const Pair entering = candidates_[at(best)];
      candidates_[at(best)] = candidates_[at(--left)];
      pivot(entering);
      ++pivots_;
      any = true;
      priced = 0;
    }
  }
  return any;
}

bool TransportSimplex::solve(const SolveLimits& limits) {
  bool stopped = false, any = true;
  price(true, limits, stopped);
  // Potentials gather the rounding of the pivots, so the optimum is judged by potentials made anew from the tree.
  constexpr int kMostRounds = 8;
  for (int round = 0; round < kMostRounds && any && !stopped; ++round) {
    any = price(false, limits, stopped);
    settle_potentials();
  }
  settle_masses();
  return !stopped && !any;
}

// The mass that goes from i to j comes back from j to i through the tree: rows on i's way to the join, and columns on
// j's, have a pair with their parent that it empties. Of those with the least mass the last on the way round, from the
// join by i and j back to it, leaves.
void TransportSimplex::pivot(const Pair& entering) {
  const std::int32_t i = entering.row, j = static_cast<std::int32_t>(n_) + entering.column;
  std::int32_t leave_i = kNone, leave_j = kNone, p = i, q = j;
  double least_i = kInfinity, least_j = kInfinity;
  while (p != q) {
    if (depth_[at(p)] >= depth_[at(q)]) {
      if (p < n_ && mass_[at(p)] < least_i) {
        least_i = mass_[at(p)];
        leave_i = p;
      }
      p = parent_[at(p)];
    } else {
      if (q >= n_ && mass_[at(q)] <= least_j) {
        least_j = mass_[at(q)];
        leave_j = q;
      }
      q = parent_[at(q)];
    }
  }
  const std::int32_t join = p;
  const bool of_j = least_j <= least_i;
  const double moved = of_j ? least_j : least_i;
  if (moved > 0) {
    for (p = i; p != join; p = parent_[at(p)]) mass_[at(p)] += p < n_ ? -moved : moved;
    for (q = j; q != join; q = parent_[at(q)]) mass_[at(q)] += q >= n_ ? -moved : moved;
  }
  // The part that is cut off hangs from the other end of the pair that enters; what led up to it is turned round.
  const std::int32_t top = of_j ? j : i, leave = of_j ? leave_j : leave_i;
  std::int32_t above = of_j ? i : j;
  double mass = moved, cost = entering.cost;
  for (std::int32_t node = top;;) {
    const std::int32_t next = parent_[at(node)];
    const double next_mass = mass_[at(node)], next_cost = cost_[at(node)];
    detach(node);
    attach(node, above, mass, cost);
    if (node == leave) break;
    above = node;
    mass = next_mass;
    cost = next_cost;
    node = next;
  }
  const double rows_by = of_j ? -entering.reduced : entering.reduced;
  for_subtree(top, [&](std::int32_t node) {
    depth_[at(node)] = depth_[at(parent_[at(node)])] + 1;
    potential_[at(node)] += node < n_ ? rows_by : -rows_by;
  });
}

double TransportSimplex::forbidden_mass() const {
  double mass = 0;
  for_pairs([&](std::int64_t i, std::int64_t j, double m) {
    if (!std::isfinite(costs_.at(i, j))) mass += m;
  });
  return mass;
}

}  // namespace otnfm
