#include "ot/matching/dense_assignment.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace otnfm {
namespace {

// Larger than any path, and small enough that three of them can be added.
template <class T>
constexpr T kUnreached = std::numeric_limits<T>::max() / 8;
template <>
constexpr double kUnreached<double> = std::numeric_limits<double>::infinity();
template <>
constexpr float kUnreached<float> = std::numeric_limits<float>::infinity();
template <>
constexpr __int128 kUnreached<__int128> = static_cast<__int128>(1) << 123;

// The first j with c_j - v_j == value (c_j == value where v is null), or -1: by chunks, since a loop that may leave at
// any element is not vectorised.
template <class T>
std::int64_t find(const T* c, const T* v, std::int64_t begin, std::int64_t m, T value) {
  constexpr int kChunk = 64;
  const auto at = [&](std::int64_t j) { return v == nullptr ? c[j] : c[j] - v[j]; };
  std::int64_t j = begin;
  for (; j + kChunk <= m; j += kChunk) {
    int hits = 0;
    for (int k = 0; k < kChunk; ++k) hits |= at(j + k) == value;
    if (hits) break;
  }
  for (; j < m; ++j)
    if (at(j) == value) return j;
  return -1;
}

template <class T>
struct TwoLeast {
  T first, second;
  std::int64_t first_column, second_column;
};

// The two least of c_j - v_j. Sixteen independent running minima, then their columns by a search.
template <class T>
TwoLeast<T> two_least(const T* c, const T* v, std::int64_t m) {
  constexpr int kLanes = 16;
  T first[kLanes], second[kLanes];
  std::fill_n(first, kLanes, kUnreached<T>);
  std::fill_n(second, kLanes, kUnreached<T>);
  std::int64_t j = 0;
  for (; j + kLanes <= m; j += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const T x = c[j + lane] - v[j + lane];
      const T larger = x > first[lane] ? x : first[lane];
      first[lane] = x < first[lane] ? x : first[lane];
      second[lane] = larger < second[lane] ? larger : second[lane];
    }
  TwoLeast<T> least{kUnreached<T>, kUnreached<T>, -1, -1};
  const auto take = [&](T x) {
    if (x < least.first) {
      least.second = least.first;
      least.first = x;
    } else if (x < least.second) {
      least.second = x;
    }
  };
  for (int lane = 0; lane < kLanes; ++lane) {
    take(first[lane]);
    take(second[lane]);
  }
  for (; j < m; ++j) take(c[j] - v[j]);
  least.first_column = find(c, v, 0, m, least.first);
  if (least.second < kUnreached<T>) {
    least.second_column = find(c, v, 0, m, least.second);
    if (least.second_column == least.first_column)
      least.second_column = find(c, v, least.first_column + 1, m, least.second);
  }
  return least;
}

}  // namespace

template <class T>
void DenseAssignment<T>::reserve(std::int64_t n, std::int64_t m) {
  const auto rows = static_cast<std::size_t>(n), columns = static_cast<std::size_t>(m);
  for (auto* indices : {&column_of_, &free_rows_, &deferred_rows_}) indices->reserve(rows);
  for (auto* indices : {&row_of_, &predecessor_, &scanned_}) indices->reserve(columns);
  u_.reserve(rows);
  for (auto* values : {&v_, &search_v_, &distance_, &final_distance_}) values->reserve(columns);
}

template <class T>
std::int64_t DenseAssignment<T>::solve(const T* costs, std::int64_t n, std::int64_t m, const SolveLimits& limits,
                                       std::span<const T> start) {
  costs_ = costs;
  n_ = n;
  m_ = m;
  complete_ = true;
  const auto rows = static_cast<std::size_t>(n), columns = static_cast<std::size_t>(m);
  column_of_.assign(rows, -1);
  row_of_.assign(columns, -1);
  predecessor_.assign(columns, -1);
  u_.assign(rows, 0);
  v_.assign(columns, 0);
  final_distance_.resize(columns);
  distance_.resize(columns);
  free_rows_.clear();
  deferred_rows_.clear();

  if (!start.empty())
    std::copy(start.begin(), start.end(), v_.begin());
  else if (n == m && !reduce_columns(limits))
    return complete_ = false;
  for (std::int64_t i = 0; i < n; ++i)
    if (column_of_[static_cast<std::size_t>(i)] < 0) free_rows_.push_back(i);
  reduce_rows(limits);
  search_v_ = v_;
  std::int64_t paths = 0;
  for (const std::int64_t i : free_rows_) {
    if (limits.reached(paths) || !augment(i, limits)) {
      complete_ = false;
      break;
    }
    ++paths;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t j = column_of_[static_cast<std::size_t>(i)];
    if (j >= 0) u_[static_cast<std::size_t>(i)] = row(i)[j] - v_[static_cast<std::size_t>(j)];
  }
  return paths;
}

template <class T>
void DenseAssignment<T>::rest_on_rows() {
  std::fill(v_.begin(), v_.end(), T{0});
  for (std::int64_t i = 0; i < n_; ++i)
    u_[static_cast<std::size_t>(i)] = row(i)[column_of_[static_cast<std::size_t>(i)]];
}

template <class T>
void DenseAssignment<T>::restore(Solution&& solution) {
  column_of_ = std::move(solution.column_of);
  u_ = std::move(solution.u);
  v_ = std::move(solution.v);
}

// v_j = min_i C_ij; a row that is the least of some column takes the first such column. Only where n = m: an unmatched
// column must keep the potential 0.
template <class T>
bool DenseAssignment<T>::reduce_columns(const SolveLimits& limits) {
  std::copy_n(row(0), m_, v_.begin());
  std::fill(predecessor_.begin(), predecessor_.end(), 0);
  for (std::int64_t i = 1; i < n_; ++i) {
    if (i % 16 == 0 && limits.out_of_time()) return false;
    const T* c = row(i);
    T* v = v_.data();
    std::int64_t* argmin = predecessor_.data();
    for (std::int64_t j = 0; j < m_; ++j) {
      argmin[j] = c[j] < v[j] ? i : argmin[j];
      v[j] = c[j] < v[j] ? c[j] : v[j];
    }
  }
  for (std::int64_t j = 0; j < m_; ++j) {
    const std::int64_t i = predecessor_[static_cast<std::size_t>(j)];
    if (column_of_[static_cast<std::size_t>(i)] >= 0) continue;
    column_of_[static_cast<std::size_t>(i)] = j;
    row_of_[static_cast<std::size_t>(j)] = i;
  }
  return true;
}

// A free row takes its best column and lowers that column's potential until the second best is as good; the row it
// displaces follows at once while potentials move, and waits for the next pass at a tie. Each pass makes at most 4 n
// moves, since with rounding the differences may become arbitrarily small.
template <class T>
void DenseAssignment<T>::reduce_rows(const SolveLimits& limits) {
  if (m_ < 2) return;
  for (int pass = 0; pass < 2 && !free_rows_.empty(); ++pass) {
    std::int64_t moves = 4 * n_;
    deferred_rows_.clear();
    for (std::int64_t i : free_rows_) {
      while (i >= 0) {
        if (--moves < 0 || limits.reached(0)) {
          deferred_rows_.push_back(i);
          break;
        }
        const TwoLeast<T> least = two_least(row(i), v_.data(), m_);
        std::int64_t j = least.first_column;
        const bool moved = least.first < least.second;
        if (moved)
          v_[static_cast<std::size_t>(j)] -= least.second - least.first;
        else if (row_of_[static_cast<std::size_t>(j)] >= 0)
          j = least.second_column;
        const std::int64_t displaced = row_of_[static_cast<std::size_t>(j)];
        column_of_[static_cast<std::size_t>(i)] = j;
        row_of_[static_cast<std::size_t>(j)] = i;
        if (displaced >= 0) {
          column_of_[static_cast<std::size_t>(displaced)] = -1;
          if (!moved) deferred_rows_.push_back(displaced);
        }
        i = moved ? displaced : -1;
      }
    }
    std::swap(free_rows_, deferred_rows_);
  }
}

template <class T>
bool DenseAssignment<T>::augment(std::int64_t root, const SolveLimits& limits) {
  std::fill(distance_.begin(), distance_.end(), kUnreached<T>);
  scanned_.clear();
  std::int64_t sink = -1, steps = 0;
  std::int64_t i = root;
  T offset = 0, reached = 0;  // the search adds a row's reduced costs, C_ij - v_j - offset, to the distances
  while (sink < 0) {
    const T* c = row(i);
    const T* v = search_v_.data();
    T* distance = distance_.data();
    std::int64_t* predecessor = predecessor_.data();
    T least = kUnreached<T>;
#pragma omp simd reduction(min : least)
    for (std::int64_t j = 0; j < m_; ++j) {
      const T through = c[j] - v[j] - offset;
      const bool shorter = through < distance[j];
      predecessor[j] = shorter ? i : predecessor[j];
      const T now = shorter ? through : distance[j];
      distance[j] = now;
      least = now < least ? now : least;
    }
    std::int64_t next = -1;
    for (std::int64_t j = find<T>(distance, nullptr, 0, m_, least); j >= 0;
         j = find<T>(distance, nullptr, j + 1, m_, least)) {
      if (next < 0) next = j;
      if (row_of_[static_cast<std::size_t>(j)] < 0) {  // at a tie, a free column ends the search
        sink = j;
        break;
      }
    }
    // Rounding may put a distance below the last one by an ulp; the search's order must not go backwards.
    reached = scanned_.empty() || least > reached ? least : reached;
    if (sink >= 0) break;
    if ((++steps & 63) == 0 && limits.out_of_time()) break;
    const auto column = static_cast<std::size_t>(next);
    final_distance_[column] = reached;
    distance_[column] = kUnreached<T>;
    search_v_[column] = -2 * kUnreached<T>;
    scanned_.push_back(next);
    i = row_of_[column];
    offset = row(i)[next] - v_[column] - reached;
  }
  for (const std::int64_t j : scanned_) {
    const auto column = static_cast<std::size_t>(j);
    if (sink >= 0) v_[column] += final_distance_[column] - reached;
    search_v_[column] = v_[column];
  }
  if (sink < 0) return false;
  for (std::int64_t j = sink;;) {
    const std::int64_t from = predecessor_[static_cast<std::size_t>(j)];
    row_of_[static_cast<std::size_t>(j)] = from;
    std::swap(column_of_[static_cast<std::size_t>(from)], j);
    if (from == root) break;
  }
  return true;
}

template class DenseAssignment<float>;
template class DenseAssignment<double>;
template class DenseAssignment<std::int64_t>;
template class DenseAssignment<__int128>;

}  // namespace otnfm
