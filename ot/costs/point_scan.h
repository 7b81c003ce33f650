// Nearest columns of a row by reduced cost C_ij - g_j, over points in few dimensions. The columns, in spatial order,
// are kept in blocks of 32 with their bounding box and largest potential: a block whose least possible C - max g is
// above what is looked for is skipped. A row costs n/32 box tests and a few blocks, some n/32 + 300 evaluations in
// place of n.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"
#include "ot/cost.h"
#include "ot/matching/short_list_assignment.h"

namespace otnfm {

class PointScan {
 public:
  static constexpr int kBlock = 32;

  /// Columns are `points` [n, d], row-major, in an order that keeps neighbours together. Potentials are 0.
  void reset(std::span<const double> points, std::int64_t dimension, Cost cost);

  /// The potentials [n], to be read and written in place.
  std::span<double> g() { return {g_.data(), static_cast<std::size_t>(n_)}; }

  /// Takes note of potentials that changed. Not needed at once for those that fell: the searches stay right, but
  /// slower.
  void refresh_bounds();

  /// What the searches below need beside the columns; one a thread.
  struct Scratch {
    HostVector<double> bounds, values;
    HostVector<std::int32_t> blocks;
  };

  /// min_j (C(x, j) - g_j) for a row at x [d].
  double least(const double* x, Scratch& scratch) const;

  /// About k columns of least reduced cost, and the bound that the others are at or above: see NearestColumns.
  double nearest(const double* x, std::int64_t k, Scratch& scratch, HostVector<Arc>& arcs) const;

 private:
  template <class Search>
  auto dispatch(const Search& search) const;

  std::int64_t n_ = 0, blocks_ = 0, dimension_ = 0;
  Cost cost_ = Cost::squared_euclidean;
  HostVector<double> coordinates_;  // [blocks, d, 32], the last block padded by its last point
  HostVector<double> low_, high_;   // [d, blocks]
  HostVector<double> g_;            // [blocks * 32], padding minus infinity
  // Potentials in a block are at most offset + slope . (y - middle of the box): they follow the displacements, so a
  // bound by their maximum alone would be of no use for clouds that are far apart.
  HostVector<double> slope_;   // [d, blocks]
  HostVector<double> offset_;  // [blocks]
};

}  // namespace otnfm
