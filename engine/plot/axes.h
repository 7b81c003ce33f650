// The part of the plane that a scatter plot shows, and the numbers along its edges.
#pragma once

#include <string>
#include <vector>

#include "kernels/view.h"

namespace otnfm {

struct Point {
  double x = 0, y = 0;
};

struct Box {
  Point center;
  double half = 1;  ///< half of the width
  double stretch =
      1;  ///< the height to the width: 1, a square on equal axes, unless their scales have little in common

  double half_height() const { return half * stretch; }
  bool contains(Point p) const {
    return p.x >= center.x - half && p.x <= center.x + half && p.y >= center.y - half_height() &&
           p.y <= center.y + half_height();
  }
};

/// The first two columns of rows [n, 2 or more].
std::vector<Point> points_of(View<const float> rows);

/// A square around nearly all of the finite `points`: the whole of them, unless some lie further beyond the 1% and 99%
/// quantiles than half the distance between these. `followers` may widen it, by a quarter at most, so that a map that
/// went astray does not shrink what it should have hit. Without any finite point: [-1, 1].
Box robust_box(const std::vector<Point>& points, const std::vector<Point>& followers);

/// The same, but where the range of one axis is more than eight times that of the other (an age and an income), each
/// axis has its own, and the box is stretched.
Box robust_box_of_any_scale(const std::vector<Point>& points, const std::vector<Point>& followers);

/// What of the points the box does not show: "3 outside, 1 not finite", or nothing.
std::string left_out(const std::vector<Point>& points, const Box& box);

struct Tick {
  double value = 0;
  std::string label;
};

/// About five round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`.
std::vector<Tick> round_ticks(double low, double high);

}  // namespace otnfm
