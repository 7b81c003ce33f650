#include "ot/matching/dense_auction.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "kernels/host/parallel.h"
#include "kernels/host_vector.h"

namespace otnfm {
namespace {

// Where an auction needs more bids than this, augmenting paths are the better way on.
constexpr std::int64_t kBidsPerRow = 200;
// Some 60 us of a core: waking another, once a phase, is worth it from there.
constexpr std::int64_t kElementsAThread = std::int64_t{1} << 20;

template <class T>
constexpr T kNone = std::numeric_limits<T>::infinity();

template <class T>
struct BestTwo {
  T first, second;
  std::int64_t column;  // of the first; the least such
};

// The two least of c_j - g_j: running minima, each of every kMinima-th column, so that none waits for another.
template <class T>
BestTwo<T> best_two(const T* c, const T* g, std::int64_t m) {
  constexpr int kMinima = 2 * 64 / sizeof(T);
  using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  T first[kMinima], second[kMinima];
  Index where[kMinima];
  for (int k = 0; k < kMinima; ++k) {
    first[k] = second[k] = kNone<T>;
    where[k] = 0;
  }
  std::int64_t j = 0;
  for (; j + kMinima <= m; j += kMinima) {
    const auto at = static_cast<Index>(j);
    for (int k = 0; k < kMinima; ++k) {
      const T x = c[j + k] - g[j + k];
      const bool less = x < first[k];
      const T larger = less ? first[k] : x;
      second[k] = larger < second[k] ? larger : second[k];
      where[k] = less ? at : where[k];
      first[k] = less ? x : first[k];
    }
  }
  BestTwo<T> least{kNone<T>, kNone<T>, 0};
  for (; j < m; ++j) {
    const T x = c[j] - g[j];
    if (x < least.first) {
      least.second = least.first;
      least.first = x;
      least.column = j;
    } else {
      least.second = std::min(least.second, x);
    }
  }
  for (int k = 0; k < kMinima; ++k) {
    const std::int64_t column = where[k] + k;
    if (first[k] < least.first || (first[k] == least.first && column < least.column)) {
      least.second = std::min(least.first, second[k]);
      least.first = first[k];
      least.column = column;
    } else {
      least.second = std::min(least.second, first[k]);
    }
  }
  return least;
}

template <class T>
T least_of(const T* c, const T* g, std::int64_t m) {
  T least = kNone<T>;
#pragma omp simd reduction(min : least)
  for (std::int64_t j = 0; j < m; ++j) {
    const T x = c[j] - g[j];
    least = x < least ? x : least;
  }
  return least;
}

}  // namespace

template <class T>
void DenseAuction<T>::reset(const T* costs, std::int64_t n, std::int64_t m, std::span<const double> g, int threads) {
  costs_ = costs;
  n_ = n;
  m_ = m;
  threads_ = threads;
  bids_ = 0;
  f_is_current_ = false;
  f_.assign(static_cast<std::size_t>(n), -kNone<T>);  // feasible for any g
  g_.resize(g.size());
  std::transform(g.begin(), g.end(), g_.begin(), [](double value) { return static_cast<T>(value); });
  column_of_.assign(static_cast<std::size_t>(n), -1);
  row_of_.assign(static_cast<std::size_t>(m), -1);
}

template <class T>
double DenseAuction<T>::spread() const {
  constexpr std::int64_t kRows = 64, kNear = 40;
  HostVector<T> reduced(static_cast<std::size_t>(m_));
  HostVector<double> spreads;
  const std::int64_t step = std::max<std::int64_t>(1, n_ / kRows), near = std::min(m_, kNear) - 1;
  for (std::int64_t i = 0; i < n_; i += step) {
    for (std::int64_t j = 0; j < m_; ++j)
      reduced[static_cast<std::size_t>(j)] = row(i)[j] - g_[static_cast<std::size_t>(j)];
    std::nth_element(reduced.begin(), reduced.begin() + near, reduced.end());
    const T least = *std::min_element(reduced.begin(), reduced.begin() + near + 1);
    spreads.push_back(static_cast<double>(reduced[static_cast<std::size_t>(near)] - least));
  }
  std::nth_element(spreads.begin(), spreads.begin() + static_cast<std::ptrdiff_t>(spreads.size() / 2), spreads.end());
  return spreads[spreads.size() / 2];
}

template <class T>
void DenseAuction<T>::auction(double epsilon, const SolveLimits& limits, std::int64_t most_bids) {
  if (m_ < 2) {
    if (n_ == 1) column_of_[0] = row_of_[0] = 0;
    return;
  }
  const T step = static_cast<T>(epsilon);
  queue_.clear();
  for (std::int64_t i = 0; i < n_; ++i) {
    const auto row_index = static_cast<std::size_t>(i);
    if (column_of_[row_index] >= 0) {
      const auto column = static_cast<std::size_t>(column_of_[row_index]);
      const T least = f_is_current_ ? f_[row_index] : least_of(row(i), g_.data(), m_);
      if (matched_cost(i) - g_[column] <= least + step) continue;
      row_of_[column] = -1;
      column_of_[row_index] = -1;
    }
    queue_.push_back(static_cast<std::int32_t>(i));
  }
  f_is_current_ = false;
  // First in, first out, compacted now and then, so that no neighbourhood raises its prices alone.
  const std::int64_t most = std::min(most_bids, kBidsPerRow * n_);
  std::int64_t bids = 0;
  for (std::size_t head = 0; head < queue_.size() && bids < most; ++bids) {
    if ((bids & 255) == 0 && limits.reached(bids)) break;
    const std::int32_t i = queue_[head++];
    const BestTwo<T> least = best_two(row(i), g_.data(), m_);
    const auto column = static_cast<std::size_t>(least.column);
    const T lowered = g_[column] - (least.second - least.first + step);
    // Epsilon is below the rounding of the potentials, or they have left T's range.
    if (!(lowered < g_[column] && lowered > -kNone<T>)) break;
    g_[column] = lowered;
    const std::int32_t displaced = row_of_[column];
    row_of_[column] = i;
    column_of_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(least.column);
    if (displaced >= 0) {
      column_of_[static_cast<std::size_t>(displaced)] = -1;
      queue_.push_back(displaced);
    }
    if (head > 65536 && head * 2 > queue_.size()) {
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(head));
      head = 0;
    }
  }
  bids_ += bids;
}

template <class T>
AuctionBounds DenseAuction<T>::bounds(const SolveLimits& limits) {
  std::atomic<bool> stopped = false;
  const auto find = [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t unchecked = std::max<std::int64_t>(1, kElementsAThread / m_);
    for (std::int64_t i = begin; i < end; ++i) {
      if ((i - begin) % unchecked == 0 && limits.overdue()) stopped = true;
      if (stopped) return;
      f_[static_cast<std::size_t>(i)] = least_of(row(i), g_.data(), m_);
    }
  };
  if (threads_ == 1)
    find(0, n_);
  else
    host::parallel_ranges(n_, std::max<std::int64_t>(1, kElementsAThread / std::max<std::int64_t>(1, m_)), find);
  if (stopped) {
    std::ranges::fill(f_, -kNone<T>);
    return {.dual = -std::numeric_limits<double>::infinity(), .complete = false};
  }
  f_is_current_ = true;
  long double primal = 0, dual = 0, size = 0;
  AuctionBounds result;
  for (std::int64_t i = 0; i < n_; ++i) {
    dual += f_[static_cast<std::size_t>(i)];
    size += std::fabs(f_[static_cast<std::size_t>(i)]);
    if (column_of_[static_cast<std::size_t>(i)] < 0) {
      result.complete = false;
      continue;
    }
    primal += matched_cost(i);
    size += std::fabs(matched_cost(i));
  }
  for (const T value : g_) {
    dual += value;
    size += std::fabs(value);
  }
  result.primal = static_cast<double>(primal);
  result.dual = static_cast<double>(dual);
  result.rounding = static_cast<double>(size) * std::numeric_limits<T>::epsilon();
  return result;
}

template class DenseAuction<float>;
template class DenseAuction<double>;

}  // namespace otnfm
