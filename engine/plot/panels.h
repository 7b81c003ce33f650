// A row of square panels on one sheet: title, names, axes, and below each, where it has one, a colour scale. What
// pictures of points and maps in the plane are drawn on.
#pragma once

#include <cstdint>
#include <string>

#include "engine/plot/axes.h"
#include "engine/plot/canvas.h"

namespace otnfm {

inline constexpr Color kPaper = Color::hex(0xffffff), kInk = Color::hex(0x1b1f24), kSoftInk = Color::hex(0x667079);
inline constexpr Color kPanel = Color::hex(0x12091f), kRule = Color::hex(0x2b2140), kMuted = Color::hex(0x4d4763);

/// `caption`, and behind it which coordinates a picture of more than two dimensions shows, and whether its axes have
/// one scale.
std::string with_axes(const std::string& caption, std::int64_t dimension, const Box& box);

class Panels {
 public:
  struct Layout {
    int count = 1;
    int panel_pixels = 440;  ///< side of one panel; everything else scales with it
    std::string title;
    std::string caption = {};   ///< a second line, smaller; may be empty
    bool color_scales = false;  ///< leaves room below the panels
    bool own_heights = false;   ///< leaves room for numbers at the left of every panel, not of the first alone
  };
  explicit Panels(const Layout& layout);

  struct Axes {
    bool width = true, height = true;  ///< rules and numbers along this axis
    bool height_labels = true;         ///< the numbers at the left; a panel of the same range may have them already
  };
  /// What is drawn from now on is drawn in this panel, clipped to it. `note` stands at the right above it.
  void begin(int number, const Box& box, const std::string& name, const std::string& note, const Axes& axes);

  /// A bar from low to high below the panel, `color(0)` at its left end, `color(1)` at its right one.
  template <class ColorOf>
  void color_scale(double low, double high, const std::string& name, const ColorOf& color) {
    constexpr int kSteps = 120;
    const Rectangle bar = begin_color_scale();
    for (int k = 0; k < kSteps; ++k) {
      const float left = bar.left + bar.width() * static_cast<float>(k) / kSteps;
      // To the end, the next steps over it: edges that only meet would let the paper through.
      canvas_.fill({left, bar.top, bar.right, bar.bottom}, color((static_cast<float>(k) + 0.5f) / kSteps));
    }
    end_color_scale(bar, low, high, name);
  }

  /// A remark in the panel's lower right corner; nothing where it is empty.
  void remark(const std::string& text);

  float scale() const { return scale_; }
  float side() const { return side_; }
  float x(double x) const {
    return panel_.left + static_cast<float>((x - box_.center.x + box_.half) / (2 * box_.half)) * side_;
  }
  float y(double y) const {
    return panel_.bottom -
           static_cast<float>((y - box_.center.y + box_.half_height()) / (2 * box_.half_height())) * side_;
  }
  void dot(Point p, float radius, Color color, float alpha) { canvas_.disc(x(p.x), y(p.y), radius, color, alpha); }
  void line(Point from, Point to, float line_width, Color color, float alpha = 1) {
    canvas_.line({x(from.x), y(from.y), x(to.x), y(to.y)}, line_width, color, alpha);
  }

  Canvas& canvas() { return canvas_; }
  Image image() const { return canvas_.image(); }

 private:
  float margin_left() const { return 66 * scale_; }
  float gap() const { return (own_heights_ ? 84 : 26) * scale_; }
  void heading(float y, const std::string& text, TextStyle style);
  void draw_ticks(const Axes& axes);
  Rectangle begin_color_scale();
  void end_color_scale(const Rectangle& bar, double low, double high, const std::string& name);

  int count_;
  bool own_heights_;
  float scale_, side_, top_;
  Canvas canvas_;
  Box box_;
  Rectangle panel_{};
};

}  // namespace otnfm
