#include "engine/plot/canvas.h"

#include <algorithm>
#include <cmath>

#include "engine/plot/stroke_font.h"

namespace otnfm {

namespace {

// Converting a float beyond int's range is undefined, and outliers in the data can be anywhere.
int to_pixel(float x, int low, int high) {
  return static_cast<int>(std::clamp(x, static_cast<float>(low), static_cast<float>(high)));
}

float distance(const Segment& s, float x, float y) {
  const float dx = s.x1 - s.x0, dy = s.y1 - s.y0, px = x - s.x0, py = y - s.y0;
  const float length_squared = dx * dx + dy * dy;
  const float along = length_squared > 0 ? std::clamp((px * dx + py * dy) / length_squared, 0.0f, 1.0f) : 0.0f;
  return std::hypot(px - along * dx, py - along * dy);
}

}  // namespace

Canvas::Canvas(int width, int height, Color background)
    : width_(width),
      height_(height),
      pixels_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), background) {
  clear_clip();
}

void Canvas::set_clip(Rectangle clip) {
  clip_left_ = to_pixel(std::round(clip.left), 0, width_);
  clip_top_ = to_pixel(std::round(clip.top), 0, height_);
  clip_right_ = to_pixel(std::round(clip.right), 0, width_);
  clip_bottom_ = to_pixel(std::round(clip.bottom), 0, height_);
}

void Canvas::clear_clip() {
  clip_left_ = clip_top_ = 0;
  clip_right_ = width_;
  clip_bottom_ = height_;
}

void Canvas::blend(int x, int y, Color color, float alpha) {
  Color& pixel = pixels_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x)];
  pixel = mix(pixel, color, std::min(alpha, 1.0f));
}

void Canvas::fill(Rectangle area, Color color, float alpha) {
  const int left = to_pixel(std::floor(area.left), clip_left_, clip_right_);
  const int right = to_pixel(std::ceil(area.right), clip_left_, clip_right_);
  const int top = to_pixel(std::floor(area.top), clip_top_, clip_bottom_);
  const int bottom = to_pixel(std::ceil(area.bottom), clip_top_, clip_bottom_);
  for (int y = top; y < bottom; ++y)
    for (int x = left; x < right; ++x) {
      const auto low_x = static_cast<float>(x), low_y = static_cast<float>(y);
      const float covered_x = std::min(area.right, low_x + 1) - std::max(area.left, low_x);
      const float covered_y = std::min(area.bottom, low_y + 1) - std::max(area.top, low_y);
      blend(x, y, color, alpha * std::max(covered_x, 0.0f) * std::max(covered_y, 0.0f));
    }
}

void Canvas::disc(float x, float y, float radius, Color color, float alpha) {
  const Segment point{x, y, x, y};
  strokes({&point, 1}, 2 * radius, color, alpha);
}

void Canvas::strokes(std::span<const Segment> segments, float line_width, Color color, float alpha) {
  if (segments.empty()) return;
  float left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY;
  for (const Segment& s : segments) {
    if (!std::isfinite(s.x0 + s.y0 + s.x1 + s.y1)) return;
    left = std::min({left, s.x0, s.x1});
    right = std::max({right, s.x0, s.x1});
    top = std::min({top, s.y0, s.y1});
    bottom = std::max({bottom, s.y0, s.y1});
  }
  // A line thinner than a pixel is drawn one pixel wide and fainter.
  const float half = std::max(line_width, 1.0f) / 2, reach = half + 0.5f;
  alpha *= std::min(line_width, 1.0f);
  const int x_begin = to_pixel(std::floor(left - reach), clip_left_, clip_right_);
  const int x_end = to_pixel(std::ceil(right + reach), clip_left_, clip_right_);
  const int y_begin = to_pixel(std::floor(top - reach), clip_top_, clip_bottom_);
  const int y_end = to_pixel(std::ceil(bottom + reach), clip_top_, clip_bottom_);
  for (int y = y_begin; y < y_end; ++y)
    for (int x = x_begin; x < x_end; ++x) {
      float nearest = INFINITY;
      for (const Segment& s : segments)
        nearest = std::min(nearest, distance(s, static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f));
      const float coverage = std::clamp(reach - nearest, 0.0f, 1.0f);
      if (coverage > 0) blend(x, y, color, alpha * coverage);
    }
}

void Canvas::line(Segment segment, float line_width, Color color, float alpha) {
  strokes({&segment, 1}, line_width, color, alpha);
}

void Canvas::frame(Rectangle area, float line_width, Color color) {
  const Segment sides[] = {{area.left, area.top, area.right, area.top},
                           {area.right, area.top, area.right, area.bottom},
                           {area.right, area.bottom, area.left, area.bottom},
                           {area.left, area.bottom, area.left, area.top}};
  strokes(sides, line_width, color);
}

void Canvas::text(float x, float y, std::string_view text, const TextStyle& style) {
  if (style.anchor != Anchor::left) x -= text_width(text, style) * (style.anchor == Anchor::center ? 0.5f : 1.0f);
  for (const PlacedGlyph& glyph : place_glyphs(text, x, y, style.size))
    strokes(glyph.segments, style.size * (style.bold ? 0.115f : 0.08f), style.color);
}

float text_width(std::string_view text, const TextStyle& style) {
  return stroke_text_width(text, style.size);
}

Image Canvas::image() const {
  Image image(width_, height_, 3);
  const auto to_byte = [](float value) {
    return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255 + 0.5f);
  };
  for (std::size_t i = 0; i < pixels_.size(); ++i) {
    image.pixels[3 * i] = to_byte(pixels_[i].red);
    image.pixels[3 * i + 1] = to_byte(pixels_[i].green);
    image.pixels[3 * i + 2] = to_byte(pixels_[i].blue);
  }
  return image;
}

}  // namespace otnfm
