// The picture of a map of the plane at one time: where it moves points, what becomes of a grid, and by how much it
// expands. And the picture of the paths that a flow takes.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/io/image.h"
#include "engine/plot/axes.h"
#include "kernels/view.h"

namespace otnfm {

/// A square grid over a box: node (r, c) of kSide x kSide has the number r * kSide + c, r along y from below.
struct MapGrid {
  static constexpr std::int64_t kSide = 121;    ///< nodes along a side
  static constexpr std::int64_t kLineStep = 5;  ///< every fifth line is drawn
  Box box;

  /// nodes [kSide^2, 2]
  void fill(View<float> nodes) const;
};

struct MapPlot {
  std::string title = {}, caption = {};
  double time = 1;
  int panel_pixels = 440;  ///< 100 to 4000
};

/// Three panels: arrows x -> F(t, x); the grid's image over `points`, the images of the source's points [n, 2]; log|det
/// J| as colour. `images` [kSide^2, 2] and `log_dets` [kSide^2] are F and its log-determinant at the grid's nodes,
/// `folds` [kSide^2] whether the determinant is negative there. InputError for other shapes.
Image draw_map(const MapGrid& grid, View<const float> images, std::span<const double> log_dets,
               std::span<const char> folds, View<const float> points, const MapPlot& options);

/// Two panels: the paths of the first rows, and all points at every time; colour is time. `points` [K, n, d], K >= 2
/// times from 0 to 1; d >= 2 shows the first two coordinates, d = 1 time against value. InputError for other shapes.
Image draw_paths(View<const float> points, const std::string& title, int panel_pixels = 440);

}  // namespace otnfm
