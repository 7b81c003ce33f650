// An order of a point cloud that keeps neighbours together: recursive halving along the widest side (a balanced k-d
// tree), with halves cut at multiples of powers of 4, so that consecutive groups of 4, 16, 64, ... points are cells of
// the tree.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/host_vector.h"

namespace otnfm {

/// Points a cell of the next coarser level.
inline constexpr std::int64_t kGroup = 4;

/// order[p] = the index of the point at place p, of n. points is [n, d], row-major. O(n log n) selections.
void spatial_order(std::span<const double> points, std::int64_t dimension, std::span<std::int32_t> order);

/// The means of consecutive groups of 4 points (the last group may be smaller): [ceil(n / 4), d].
void coarsen(std::span<const double> points, std::int64_t dimension, HostVector<double>& means);

}  // namespace otnfm
