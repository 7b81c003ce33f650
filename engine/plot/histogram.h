// The picture of a transport on a line: what draw_transport() (scatter.h) shows of points with one coordinate.
#pragma once

#include <string>

#include "engine/io/image.h"
#include "engine/plot/scatter.h"
#include "kernels/view.h"

namespace otnfm {

/// Histograms of `source` [n, 1], `target` [m, 1] and `generated` [n, 1], with the outline of the target's over the
/// last, and the graph of the map, x0 against F(1, x0). Heights are shares of each set's points, on one scale that
/// source and target fill. Without target rows there is no panel for them. The shapes are draw_transport()'s to check.
Image draw_histograms(View<const float> source, View<const float> target, View<const float> generated,
                      const std::string& title, const TransportPlot& options);

}  // namespace otnfm
