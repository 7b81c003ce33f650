// Shortest augmenting paths over a dense matrix (Jonker & Volgenant 1987): column reduction, two passes of augmenting
// row reduction, then for each row still free a Dijkstra search over the columns with the reduced costs C_ij - u_i -
// v_j >= 0.
//
// A search step reads one row, O(m); a search of s steps costs s m, so the whole is O(n^2 m) at worst and near n m for
// costs whose paths are short (random costs, points in high dimension). Both scans of a row are vectorised: a column
// that a search has finished has its potential set to minus infinity in the search's copy, so that the update needs no
// test.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/solve_limits.h"

namespace otnfm {

/// T is double, float where the costs are, or std::int64_t or __int128 for integer costs that double does not hold
/// exactly.
template <class T>
class DenseAssignment {
 public:
  /// Solves rows [n] against columns [m], n <= m. `costs` is row-major [n, m] with row_stride m.
  /// Returns the number of augmenting paths; complete() tells whether a limit was hit: then some rows may be free,
  /// whose u says nothing, and must not be used. `start` [m], if not empty, are column potentials to begin with, the
  /// better the shorter the paths; only where n = m.
  std::int64_t solve(const T* costs, std::int64_t n, std::int64_t m, const SolveLimits& limits,
                     std::span<const T> start = {});

  /// Makes room, so that solves of at most this size allocate nothing.
  void reserve(std::int64_t n, std::int64_t m);

  /// Where every matched row has its own least cost: sets the columns' potentials to 0, which prove that optimal.
  void rest_on_rows();

  struct Solution {
    HostVector<std::int64_t> column_of;
    HostVector<T> u, v;
  };
  Solution solution() const { return {column_of_, u_, v_}; }
  /// Puts a kept solution in the place of a solve that a limit cut off; complete() stays false.
  void restore(Solution&& solution);

  bool complete() const { return complete_; }
  const HostVector<std::int64_t>& column_of() const { return column_of_; }  ///< [n], -1 where free
  const HostVector<T>& u() const { return u_; }                             ///< [n]
  const HostVector<T>& v() const { return v_; }                             ///< [m], 0 where free if n < m

 private:
  bool reduce_columns(const SolveLimits& limits);
  void reduce_rows(const SolveLimits& limits);
  bool augment(std::int64_t root, const SolveLimits& limits);

  const T* row(std::int64_t i) const { return costs_ + i * m_; }

  const T* costs_ = nullptr;
  std::int64_t n_ = 0, m_ = 0;
  bool complete_ = true;
  HostVector<std::int64_t> column_of_, row_of_, predecessor_, scanned_, free_rows_, deferred_rows_;
  HostVector<T> u_, v_, search_v_, distance_, final_distance_;
};

extern template class DenseAssignment<float>;
extern template class DenseAssignment<double>;
extern template class DenseAssignment<std::int64_t>;
extern template class DenseAssignment<__int128>;

}  // namespace otnfm
