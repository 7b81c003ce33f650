// A raster to draw on: filled rectangles, discs, lines and text, anti-aliased by the distance of a pixel's centre to
// the shape. Coordinates are pixels from the top left corner of the image, fractions included: the centre of the first
// pixel is (0.5, 0.5).
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "engine/io/image.h"
#include "engine/plot/colors.h"

namespace otnfm {

struct Segment {
  float x0, y0, x1, y1;
};

struct Rectangle {
  float left, top, right, bottom;

  float width() const { return right - left; }
  float height() const { return bottom - top; }
};

enum class Anchor { left, center, right };

struct TextStyle {
  float size = 20;  ///< pixels an em; capitals are 0.7 of it high
  Color color = {};
  Anchor anchor = Anchor::left;
  bool bold = false;
};

class Canvas {
 public:
  Canvas(int width, int height, Color background);

  int width() const { return width_; }
  int height() const { return height_; }

  /// What is drawn from now on shows inside `clip` only.
  void set_clip(Rectangle clip);
  void clear_clip();

  void fill(Rectangle area, Color color, float alpha = 1);
  void disc(float x, float y, float radius, Color color, float alpha = 1);
  /// The union of all segments, with round ends: where they overlap, they are blended once.
  void strokes(std::span<const Segment> segments, float line_width, Color color, float alpha = 1);
  void line(Segment segment, float line_width, Color color, float alpha = 1);
  void frame(Rectangle area, float line_width, Color color);
  /// `y` is the baseline.
  void text(float x, float y, std::string_view text, const TextStyle& style);

  /// 8-bit RGB.
  Image image() const;

 private:
  void blend(int x, int y, Color color, float alpha);

  int width_, height_;
  std::vector<Color> pixels_;
  int clip_left_, clip_top_, clip_right_, clip_bottom_;  ///< pixels [left, right) x [top, bottom)
};

/// The width in pixels that Canvas::text takes.
float text_width(std::string_view text, const TextStyle& style);

}  // namespace otnfm
