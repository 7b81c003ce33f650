#include "engine/plot/panels.h"

#include <fmt/format.h>

#include <cmath>

namespace otnfm {

std::string with_axes(const std::string& caption, std::int64_t dimension, const Box& box) {
  std::string text = caption;
  const auto add = [&](const std::string& remark) { text += (text.empty() ? "" : " \u00b7 ") + remark; };
  if (dimension > 2) add(fmt::format("coordinates 1 (across) and 2 (up) of {}", dimension));
  if (box.stretch != 1) add("each axis to its own scale");
  return text;
}

Panels::Panels(const Layout& layout)
    : count_(layout.count),
      own_heights_(layout.own_heights),
      scale_(static_cast<float>(layout.panel_pixels) / 440),
      side_(static_cast<float>(layout.panel_pixels)),
      top_((layout.caption.empty() ? 104.0f : 138.0f) * scale_),
      canvas_(static_cast<int>(margin_left() + static_cast<float>(layout.count) * side_ +
                               static_cast<float>(layout.count - 1) * gap() + 28 * scale_),
              static_cast<int>(top_ + side_ + (layout.color_scales ? 122 : 62) * scale_), kPaper) {
  heading(46 * scale_, layout.title, {.size = 31 * scale_, .color = kInk, .bold = true});
  heading(80 * scale_, layout.caption, {.size = 22 * scale_, .color = kSoftInk});
}

// Shrunk where it would be wider than the sheet.
void Panels::heading(float y, const std::string& text, TextStyle style) {
  const auto panels = static_cast<float>(count_);
  const float room = panels * side_ + (panels - 1) * gap(), width = text_width(text, style);
  if (width > room) style.size *= room / width;
  canvas_.text(margin_left(), y, text, style);
}

void Panels::begin(int number, const Box& box, const std::string& name, const std::string& note, const Axes& axes) {
  box_ = box;
  const float left = margin_left() + static_cast<float>(number) * (side_ + gap());
  panel_ = {left, top_, left + side_, top_ + side_};
  canvas_.clear_clip();
  canvas_.text(panel_.left, top_ - 13 * scale_, name, {.size = 24 * scale_, .color = kInk});
  canvas_.text(panel_.right, top_ - 13 * scale_, note,
               {.size = 20 * scale_, .color = kSoftInk, .anchor = Anchor::right});
  canvas_.fill(panel_, kPanel);
  draw_ticks(axes);
  canvas_.set_clip(panel_);
}

void Panels::draw_ticks(const Axes& axes) {
  const TextStyle style{.size = 19 * scale_, .color = kSoftInk, .anchor = Anchor::center};
  if (axes.width)
    for (const Tick& tick : round_ticks(box_.center.x - box_.half, box_.center.x + box_.half)) {
      const float at = std::round(x(tick.value)) + 0.5f;
      canvas_.line({at, panel_.top, at, panel_.bottom}, scale_, kRule);
      canvas_.text(at, panel_.bottom + 25 * scale_, tick.label, style);
    }
  if (!axes.height) return;
  for (const Tick& tick : round_ticks(box_.center.y - box_.half_height(), box_.center.y + box_.half_height())) {
    const float at = std::round(y(tick.value)) + 0.5f;
    canvas_.line({panel_.left, at, panel_.right, at}, scale_, kRule);
    if (!axes.height_labels) continue;
    TextStyle height_style{.size = style.size, .color = kSoftInk, .anchor = Anchor::right};
    // A long number is drawn smaller, rather than cut off at the sheet's edge.
    const float room = margin_left() - 12 * scale_, width = text_width(tick.label, height_style);
    if (width > room) height_style.size *= room / width;
    canvas_.text(panel_.left - 9 * scale_, at + 6.5f * scale_, tick.label, height_style);
  }
}

Rectangle Panels::begin_color_scale() {
  canvas_.clear_clip();
  return {panel_.left, panel_.bottom + 48 * scale_, panel_.right, panel_.bottom + 62 * scale_};
}

void Panels::end_color_scale(const Rectangle& bar, double low, double high, const std::string& name) {
  const float baseline = bar.bottom + 25 * scale_;
  TextStyle style{.size = 19 * scale_, .color = kSoftInk};
  canvas_.text(bar.left, baseline, fmt::format("{:.3g}", low), style);
  style.anchor = Anchor::right;
  canvas_.text(bar.right, baseline, fmt::format("{:.3g}", high), style);
  style.anchor = Anchor::center;
  canvas_.text((bar.left + bar.right) / 2, baseline, name, style);
  canvas_.set_clip(panel_);
}

void Panels::remark(const std::string& text) {
  if (text.empty()) return;
  const TextStyle style{.size = 20 * scale_, .color = Color::hex(0xffb38a), .anchor = Anchor::right};
  const float width = text_width(text, style);
  canvas_.fill({panel_.right - width - 18 * scale_, panel_.bottom - 32 * scale_, panel_.right, panel_.bottom}, kPanel,
               0.8f);
  canvas_.text(panel_.right - 9 * scale_, panel_.bottom - 10 * scale_, text, style);
}

}  // namespace otnfm
