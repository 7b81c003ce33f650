#include "ot/costs/cost_columns.h"

#include <algorithm>

#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"
#include "ot/costs/infinity.h"

namespace otnfm {
namespace {

constexpr std::int64_t kTile = 8;

std::int64_t whole_cost(const Problem& problem, std::int64_t i, std::int64_t j) {
  const std::int64_t at = i * problem.costs.row_stride + j;
  return problem.dtype() == DType::int32 ? static_cast<const std::int32_t*>(problem.costs.data)[at]
                                         : static_cast<const std::int64_t*>(problem.costs.data)[at];
}

}  // namespace

void CostColumns::reset(const Problem& problem, bool exchanged, std::int64_t shift, int threads) {
  problem_ = problem;
  exchanged_ = exchanged;
  costs_.reset(problem, exchanged);
  shift_ = shift;
  threads_ = threads;
}

void CostColumns::tile(std::int64_t first, std::int64_t count, double* out) const {
  if (!problem_.integral()) return costs_.tile(first, count, out, columns());
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t j = 0; j < columns(); ++j)
      out[i * columns() + j] = static_cast<double>(exchanged_ ? whole_cost(problem_, j, first + i) - shift_
                                                              : whole_cost(problem_, first + i, j) - shift_);
}

double CostColumns::select(const double* costs, std::int64_t k, Scratch& scratch, HostVector<Arc>& arcs) const {
  constexpr std::int64_t kBlock = 16;
  const std::int64_t m = columns();
  const double* g = g_.data();
  arcs.clear();
  if (k >= m) {
    for (std::int64_t j = 0; j < m; ++j) arcs.push_back({costs[j], static_cast<std::int32_t>(j)});
    return kInfinity;
  }
  scratch.reduced.resize(static_cast<std::size_t>(m));
  double* reduced = scratch.reduced.data();
  const std::int64_t blocks = m / kBlock, rest = blocks * kBlock;
  HostVector<double>& sorted = scratch.sorted;
  double ceiling = kInfinity;
  if (blocks >= 2 * k) {
    scratch.minima.resize(static_cast<std::size_t>(blocks));
    for (std::int64_t b = 0; b < blocks; ++b) {
      double least = kInfinity;
#pragma omp simd reduction(min : least)
      for (std::int64_t j = b * kBlock; j < (b + 1) * kBlock; ++j) {
        reduced[j] = costs[j] - g[j];
        least = reduced[j] < least ? reduced[j] : least;
      }
      scratch.minima[static_cast<std::size_t>(b)] = least;
    }
    sorted = scratch.minima;
    std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end());
    ceiling = sorted[static_cast<std::size_t>(k - 1)];
  } else {
    for (std::int64_t j = 0; j < rest; ++j) reduced[j] = costs[j] - g[j];
  }
  for (std::int64_t j = rest; j < m; ++j) reduced[j] = costs[j] - g[j];
  // Those at or below the ceiling, k or more, and the least of the others, which the ceiling bounds.
  HostVector<Arc>& near = arcs;
  const auto take = [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j)
      if (reduced[j] <= ceiling) near.push_back({costs[j], static_cast<std::int32_t>(j)});
  };
  if (blocks >= 2 * k) {
    for (std::int64_t b = 0; b < blocks; ++b)
      if (scratch.minima[static_cast<std::size_t>(b)] <= ceiling) take(b * kBlock, (b + 1) * kBlock);
    take(rest, m);
  } else {
    take(0, m);
  }
  const std::int64_t most = k + k / 2;
  if (static_cast<std::int64_t>(near.size()) <= most) return ceiling;
  const auto by_reduced = [&](const Arc& a, const Arc& b) { return reduced[a.column] < reduced[b.column]; };
  std::nth_element(near.begin(), near.begin() + k, near.end(), by_reduced);
  ceiling = reduced[near[static_cast<std::size_t>(k)].column];
  near.resize(static_cast<std::size_t>(k));
  return ceiling;
}

double CostColumns::nearest(std::int64_t i, std::int64_t k, HostVector<Arc>& arcs) {
  scratch_.rows.resize(static_cast<std::size_t>(columns()));
  tile(i, 1, scratch_.rows.data());
  return select(scratch_.rows.data(), k, scratch_, arcs);
}

double CostColumns::list_all(ShortListAssignment& assignment, std::int64_t k, const SolveLimits* limits) {
  const std::int64_t n = rows();
  spreads_.resize(static_cast<std::size_t>(n));
  const auto list = [&](std::int64_t begin, std::int64_t end) {
    Scratch scratch;
    scratch.rows.resize(static_cast<std::size_t>(kTile * columns()));
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t within = (i - begin) % kTile;
      if (within == 0) {
        if (limits != nullptr) limits->stop_if_reached();
        tile(i, std::min(kTile, end - i), scratch.rows.data());
      }
      const double bound =
          select(scratch.rows.data() + within * columns(), std::min(k, columns()), scratch, scratch.arcs);
      assignment.set_list(i, scratch.arcs, bound);
      double least = kInfinity, greatest = -kInfinity;
      for (const Arc& arc : scratch.arcs) {
        const double reduced = arc.cost - g_[static_cast<std::size_t>(arc.column)];
        least = std::min(least, reduced);
        greatest = std::max(greatest, reduced);
      }
      spreads_[static_cast<std::size_t>(i)] = greatest - least;
    }
  };
  if (threads_ == 1)
    list(0, n);
  else
    host::parallel_ranges(n, kTile, list);
  if (n == 0) return 0;
  std::nth_element(spreads_.begin(), spreads_.begin() + n / 2, spreads_.end());
  return spreads_[static_cast<std::size_t>(n / 2)];
}

}  // namespace otnfm
