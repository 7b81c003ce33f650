// The picture of a transport in the plane: source, target and generated points side by side, coloured by density, on
// common axes; and for a few source points the line to where the map takes them.
#pragma once

#include <cstdint>
#include <string>

#include "engine/io/image.h"
#include "kernels/view.h"

namespace otnfm {

struct TransportPlot {
  std::string caption = {};  ///< a second line below the title, smaller; may be empty
  int panel_pixels = 440;    ///< side of one panel, 100 to 4000; everything else scales with it
  int lines = 72;            ///< displacement lines in the fourth panel
};

/// Four panels in a row: `source` x0 [n, d], `target` x1 [m, d], `generated` F(1, x0) [n, d], and x0 -> F(1, x0), of
/// which row i belongs to source row i. d > 2 shows the first two coordinates, and says so; d = 1 is drawn as
/// histograms. Any n and m, 0 included, where m = 0 leaves the target's panel out; what is NaN, infinite, or far
/// outside is left out and counted in its panel. Titles are UTF-8, of which ASCII and three signs more (stroke_font.h)
/// are drawn. InputError where a view is not [n, d], or generated has not source's shape.
Image draw_transport(View<const float> source, View<const float> target, View<const float> generated,
                     const std::string& title, const TransportPlot& options = {});

}  // namespace otnfm
