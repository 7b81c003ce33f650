// How crowded it is around each point of a scatter plot: a kernel density estimate, from a 2-D histogram that is
// blurred.
#pragma once

#include <vector>

#include "engine/plot/axes.h"

namespace otnfm {

/// For each point, the number of points within its kernel as a share of them all, where a Gaussian of standard
/// deviation `bandwidth` (as a share of the box's side) is scaled to count 1 at its centre: between 1 / n and 1. Points
/// outside of the box neither count nor are counted: theirs is 0. O(n) and 1 MB, by a histogram of 256 x 256 cells.
std::vector<float> relative_density(const std::vector<Point>& points, const Box& box, double bandwidth);

}  // namespace otnfm
