#include "ot/matching/multilevel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/spatial_order.h"
#include "ot/costs/widen.h"
#include "ot/matching/epsilon_scaling.h"

namespace otnfm {
namespace {

constexpr std::int64_t kCoarsest = 64;

// Found by measurement, n = 256 to 16384 in two dimensions. Longer lists are remade less often, but each step reads
// them all.
constexpr std::int64_t kLevelList = 40;
// Auction phases from epsilon = the mean spread of a list down: their start must reach the error of the extended
// potentials, their end leave short augmenting paths.
constexpr double kFirstEpsilon = 1.0;
constexpr int kPhases = 4, kCoarsePhases = 3;

template <class T>
void gather(const AnyMatrix& points, HostVector<double>& out) {
  out.resize(static_cast<std::size_t>(points.rows * points.columns));
  for (std::int64_t i = 0; i < points.rows; ++i) {
    const T* row = static_cast<const T*>(points.data) + i * points.row_stride;
    for (std::int64_t k = 0; k < points.columns; ++k)
      out[static_cast<std::size_t>(i * points.columns + k)] = widen(row[k]);
  }
}

void in_order(const AnyMatrix& points, HostVector<std::int32_t>& order, HostVector<double>& out) {
  HostVector<double> plain;
  switch (points.dtype) {
    case DType::float32:
      gather<float>(points, plain);
      break;
    case DType::bfloat16:
      gather<bfloat16>(points, plain);
      break;
    default:
      gather<double>(points, plain);
  }
  const std::int64_t d = points.columns;
  order.resize(static_cast<std::size_t>(points.rows));
  spatial_order(plain, d, order);
  out.resize(plain.size());
  for (std::size_t p = 0; p < order.size(); ++p)
    std::copy_n(plain.begin() + order[p] * d, d, out.begin() + static_cast<std::ptrdiff_t>(p) * d);
}

}  // namespace

template <class Body>
void MultilevelAssignment::for_rows(std::int64_t n, const SolveLimits& limits, int threads, const Body& body) {
  const int wanted = threads > 0 ? threads : host::thread_count();
  if (scratch_.size() < static_cast<std::size_t>(wanted)) scratch_.resize(static_cast<std::size_t>(wanted));
  host::parallel_items(0, n, 64, n >= 512 ? wanted : 1, [&](std::int64_t i, int part) {
    limits.stop_if_reached();
    body(i, static_cast<std::size_t>(part));
  });
}

void MultilevelAssignment::LevelColumns::reset(const Level& level, std::int64_t dimension, PointScan& scan) {
  level_ = &level;
  dimension_ = dimension;
  scan_ = &scan;
  calls_ = 0;
}

double MultilevelAssignment::LevelColumns::nearest(std::int64_t row, std::int64_t k, HostVector<Arc>& arcs) {
  // A refresh costs as much as a hundred searches at n = 16384: this keeps it a small part.
  const std::int64_t interval = std::max<std::int64_t>(64, static_cast<std::int64_t>(scan_->g().size()) / 32);
  if (calls_++ % interval == 0) scan_->refresh_bounds();
  return scan_->nearest(level_->source.data() + row * dimension_, k, scratch_, arcs);
}

void MultilevelAssignment::prepare(const Problem& problem, std::size_t depth) {
  dimension_ = problem.dimension();
  cost_ = problem.cost;
  iterations_ = 0;
  if (levels_.size() < depth) levels_.resize(depth);
  in_order(problem.source, source_order_, levels_[0].source);
  in_order(problem.target, target_order_, levels_[0].target);
  for (std::size_t level = 1; level < depth; ++level) {
    coarsen(levels_[level - 1].source, dimension_, levels_[level].source);
    coarsen(levels_[level - 1].target, dimension_, levels_[level].target);
  }
}

bool MultilevelAssignment::solve(const Problem& problem, std::int64_t budget, const SolveLimits& limits, int threads,
                                 Assignment& result) {
  return solve_to_gap(problem, 0, {}, budget, limits, threads, result);
}

std::int64_t MultilevelAssignment::usual_budget(std::int64_t n) {
  constexpr std::int64_t kMostStored = std::int64_t{1} << 30, kArcsPerPair = 8;
  return n > kMostStored / n ? std::numeric_limits<std::int64_t>::max() : kArcsPerPair * n * n;
}

bool MultilevelAssignment::solve_to_gap(const Problem& problem, double max_gap, std::span<const double> warm_start,
                                        std::int64_t budget, const SolveLimits& limits, int threads,
                                        Assignment& result) {
  max_gap_ = max_gap;
  budget_ = budget;
  warm_ = !warm_start.empty();
  std::size_t depth = 1;
  if (warm_start.empty())
    for (std::int64_t size = problem.n(); size > kCoarsest; size = (size + kGroup - 1) / kGroup) ++depth;
  prepare(problem, depth);
  potentials_.assign(levels_[depth - 1].target.size() / static_cast<std::size_t>(dimension_), 0.0);
  if (!warm_start.empty())
    for (std::size_t p = 0; p < potentials_.size(); ++p)
      potentials_[p] = warm_start[static_cast<std::size_t>(target_order_[p])];
  return solve_levels(depth, limits, threads, result);
}

bool MultilevelAssignment::solve_levels(std::size_t depth, const SolveLimits& limits, int threads, Assignment& result) {
  bool complete = true;
  try {
    for (std::size_t level = depth; level-- > 0 && complete;) {
      if (level + 1 < depth) extend_potentials(levels_[level + 1], levels_[level], limits, threads);
      complete = solve_level(levels_[level], level == 0, limits.remaining(iterations_), threads);
      if (assignment_.over_budget()) break;
    }
  } catch (const SolveStopped&) {
    complete = false;
  }
  result.iterations = iterations_;
  if (assignment_.over_budget()) return false;
  if (!complete) result.status = limits.status();
  if (assignment_.column_of().size() != source_order_.size()) return true;
  for (std::size_t p = 0; p < source_order_.size(); ++p) {
    const auto row = static_cast<std::size_t>(source_order_[p]), column = static_cast<std::size_t>(target_order_[p]);
    const std::int32_t match = assignment_.column_of()[p];
    result.sigma[row] = match < 0 ? -1 : target_order_[static_cast<std::size_t>(match)];
    result.f[row] = complete ? assignment_.f()[p] : -std::numeric_limits<double>::infinity();
    result.g[column] = scan_.g()[p];
  }
  return true;
}

void MultilevelAssignment::extend_potentials(const Level& coarse, const Level& fine, const SolveLimits& limits,
                                             int threads) {
  scan_.reset(coarse.source, dimension_, cost_);
  std::copy(assignment_.f().begin(), assignment_.f().end(), scan_.g().begin());
  scan_.refresh_bounds();
  const std::int64_t n = static_cast<std::int64_t>(fine.target.size()) / dimension_;
  potentials_.resize(static_cast<std::size_t>(n));
  for_rows(n, limits, threads, [&](std::int64_t j, std::size_t thread) {
    potentials_[static_cast<std::size_t>(j)] = scan_.least(fine.target.data() + j * dimension_, scratch_[thread].scan);
  });
}

void MultilevelAssignment::list_columns(const Level& level, const SolveLimits& limits, int threads) {
  const std::int64_t n = static_cast<std::int64_t>(level.source.size()) / dimension_;
  const std::int64_t k = std::min<std::int64_t>(n, kLevelList);
  scan_.reset(level.target, dimension_, cost_);
  std::copy_n(potentials_.begin(), n, scan_.g().begin());
  scan_.refresh_bounds();
  columns_.reset(level, dimension_, scan_);
  assignment_.reset(n, scan_.g(), columns_, k);
  spreads_.resize(static_cast<std::size_t>(n));
  for_rows(n, limits, threads, [&](std::int64_t i, std::size_t thread) {
    auto& arcs = scratch_[thread].arcs;
    const double bound = scan_.nearest(level.source.data() + i * dimension_, k, scratch_[thread].scan, arcs);
    assignment_.set_list(i, arcs, bound);
    double least = std::numeric_limits<double>::infinity(), greatest = -least;
    for (const Arc& arc : arcs) {
      const double reduced = arc.cost - potentials_[static_cast<std::size_t>(arc.column)];
      least = std::min(least, reduced);
      greatest = std::max(greatest, reduced);
    }
    spreads_[static_cast<std::size_t>(i)] = greatest - least;
  });
}

bool MultilevelAssignment::solve_level(const Level& level, bool finest, const SolveLimits& limits, int threads) {
  list_columns(level, limits, threads);
  assignment_.set_budget(budget_);
  const bool complete = match_level(finest, limits);
  budget_ -= std::min(budget_, assignment_.spent());
  return complete;
}

bool MultilevelAssignment::match_level(bool finest, const SolveLimits& limits) {
  double epsilon =
      kFirstEpsilon * std::accumulate(spreads_.begin(), spreads_.end(), 0.0) / static_cast<double>(spreads_.size());
  if (max_gap_ > 0) {
    AuctionPlan plan{.max_gap = max_gap_, .first_epsilon = epsilon, .phases = finest ? kPhases : kCoarsePhases};
    if (warm_)
      plan.trial_epsilon = max_gap_ * std::fabs(assignment_.bounds(limits).dual) / static_cast<double>(spreads_.size());
    const AuctionEnd end = run_auction(assignment_, plan, limits);
    iterations_ += assignment_.bids();
    if (end == AuctionEnd::limit || assignment_.over_budget()) return false;
    // What a coarse level leaves over is far below the error of its potentials for the next.
    if (end == AuctionEnd::within_gap || !finest) return true;
  } else {
    for (int phase = 0; phase < kPhases && !limits.reached(0); ++phase, epsilon *= kEpsilonRatio)
      assignment_.auction(epsilon, limits);
  }
  if (limits.reached(0) || assignment_.over_budget()) return false;
  const SolveLimits rest = max_gap_ > 0 ? limits.remaining(assignment_.bids()) : limits;
  assignment_.initialise(rest);
  const bool complete = assignment_.solve(rest);
  iterations_ += assignment_.paths();
  return complete;
}

}  // namespace otnfm
