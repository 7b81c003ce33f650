// A small sans-serif typeface of strokes, drawn with a round pen at any size: printable ASCII, the arrow U+2192, the
// middle dot U+00B7 and plus-minus U+00B1. A few kilobytes, where a rasterised one would take tens and fit one size
// only.
#pragma once

#include <string_view>
#include <vector>

#include "engine/plot/canvas.h"

namespace otnfm {

struct PlacedGlyph {
  std::vector<Segment> segments;
};

/// The glyphs of UTF-8 `text`, the first one's left edge at x, baseline at y, `size` pixels an em. A character that the
/// face lacks is a box.
std::vector<PlacedGlyph> place_glyphs(std::string_view text, float x, float y, float size);

float stroke_text_width(std::string_view text, float size);

}  // namespace otnfm
