#include "engine/io/scatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/io/axes.h"
#include "engine/io/canvas.h"
#include "engine/io/density.h"
#include "kernels/check.h"

namespace otnfm {

namespace {

constexpr Color kPaper = Color::hex(0xffffff), kInk = Color::hex(0x1b1f24), kSoftInk = Color::hex(0x667079);
constexpr Color kPanel = Color::hex(0x12091f), kRule = Color::hex(0x2b2140), kMuted = Color::hex(0x4d4763);
constexpr double kBandwidth = 0.017;  // of the density, as a share of a panel's side

// The halves of van der Corput's sequence: 1/2, 1/4, 3/4, 1/8, ... fill an interval evenly, however many are taken.
double radical_inverse(std::uint32_t i) {
  double result = 0, digit = 0.5;
  for (; i != 0; i >>= 1, digit /= 2) result += digit * (i & 1);
  return result;
}

std::vector<Point> points_of(View<const float> rows) {
  std::vector<Point> points(static_cast<std::size_t>(rows.rows()));
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    points[i].x = rows(row, 0);
    if (rows.columns() > 1) points[i].y = rows(row, 1);
  }
  return points;
}

// A line has no height: points of d = 1 are spread over that of the box.
void spread(std::vector<Point>& points, const Box& box) {
  for (std::size_t i = 0; i < points.size(); ++i)
    points[i].y = box.center.y + box.half * 1.7 * (radical_inverse(static_cast<std::uint32_t>(i) + 1) - 0.5);
}

struct Cloud {
  const char* name;
  std::vector<Point> points;
  std::vector<float> density;
};

// The 99.5% quantile: of more, a few points that coincide would darken the rest.
float high_density(std::vector<float> densities) {
  if (densities.empty()) return 0;
  const auto nth = densities.begin() + static_cast<std::ptrdiff_t>(0.995 * static_cast<double>(densities.size() - 1));
  std::nth_element(densities.begin(), nth, densities.end());
  return *nth;
}

class Figure {
 public:
  Figure(const Box& box, const std::string& title, const TransportPlot& options, bool has_height)
      : box_(box),
        scale_(static_cast<float>(options.panel_pixels) / 440),
        side_(static_cast<float>(options.panel_pixels)),
        top_((options.caption.empty() ? 104.0f : 138.0f) * scale_),
        canvas_(static_cast<int>(margin_left() + 4 * side_ + 3 * gap() + 28 * scale_),
                static_cast<int>(top_ + side_ + 62 * scale_), kPaper),
        has_height_(has_height) {
    heading(46 * scale_, title, {.size = 31 * scale_, .color = kInk, .bold = true});
    heading(80 * scale_, options.caption, {.size = 22 * scale_, .color = kSoftInk});
  }

  void begin_panel(int number, const std::string& name, const std::string& count) {
    const float left = margin_left() + static_cast<float>(number) * (side_ + gap());
    panel_ = {left, top_, left + side_, top_ + side_};
    canvas_.clear_clip();
    canvas_.text(panel_.left, top_ - 13 * scale_, name, {.size = 24 * scale_, .color = kInk});
    canvas_.text(panel_.right, top_ - 13 * scale_, count,
                 {.size = 20 * scale_, .color = kSoftInk, .anchor = Anchor::right});
    canvas_.fill(panel_, kPanel);
    draw_ticks(number == 0);
    canvas_.set_clip(panel_);
  }

  void draw_density(const Cloud& cloud, float densest) {
    const auto lone = 1 / static_cast<float>(cloud.points.size());
    std::vector<std::size_t> order(cloud.points.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return cloud.density[a] < cloud.density[b]; });
    const float radius = point_radius(cloud.points.size());
    for (std::size_t i : order) {
      if (!box_.contains(cloud.points[i])) continue;
      // Logarithmic from a lone point to the densest place of the target, so that both the crowd and the stragglers
      // show.
      const float level =
          densest > lone ? std::log(std::max(cloud.density[i] / lone, 1.0f)) / std::log(densest / lone) : 1.0f;
      dot(cloud.points[i], radius, viridis(0.28f + 0.72f * level), 0.85f);
    }
  }

  void draw_muted(const Cloud& cloud) {
    const float radius = point_radius(cloud.points.size());
    for (const Point& p : cloud.points)
      if (box_.contains(p)) dot(p, radius, kMuted, 0.55f);
  }

  // Coloured by the direction, seen from the middle, in which the end lies.
  void draw_displacements(const std::vector<Point>& from, const std::vector<Point>& to, int lines) {
    std::vector<std::size_t> shown;
    for (std::size_t i = 0; i < from.size() && static_cast<int>(shown.size()) < lines; ++i)
      if (box_.contains(from[i]) && box_.contains(to[i])) shown.push_back(i);
    const auto color = [&](Point end) {
      return color_wheel(std::atan2(end.y - box_.center.y, end.x - box_.center.x), 0.76, 0.13);
    };
    for (std::size_t i : shown)
      canvas_.line({at_x(from[i].x), at_y(from[i].y), at_x(to[i].x), at_y(to[i].y)}, 1.7f * scale_, color(to[i]),
                   0.75f);
    for (std::size_t i : shown) {
      dot(from[i], 3.3f * scale_, kPanel, 1);
      dot(from[i], 2.2f * scale_, Color::hex(0xf2f0f7), 1);
    }
    for (std::size_t i : shown) {
      dot(to[i], 5.2f * scale_, kPanel, 0.7f);
      dot(to[i], 4.2f * scale_, color(to[i]), 1);
    }
  }

  // "3 outside, 1 not finite", where there are any.
  void draw_note(const std::vector<Point>& points) {
    std::int64_t outside = 0, broken = 0;
    for (const Point& p : points) {
      const bool finite = std::isfinite(p.x) && std::isfinite(p.y);
      broken += !finite;
      outside += finite && !box_.contains(p);
    }
    std::string note;
    if (outside > 0) note = fmt::format("{} outside", outside);
    if (broken > 0) note += fmt::format("{}{} not finite", note.empty() ? "" : ", ", broken);
    if (note.empty()) return;
    const TextStyle style{.size = 20 * scale_, .color = Color::hex(0xffb38a), .anchor = Anchor::right};
    const float width = text_width(note, style);
    canvas_.fill({panel_.right - width - 18 * scale_, panel_.bottom - 32 * scale_, panel_.right, panel_.bottom}, kPanel,
                 0.8f);
    canvas_.text(panel_.right - 9 * scale_, panel_.bottom - 10 * scale_, note, style);
  }

  Image image() const { return canvas_.image(); }

 private:
  // Shrunk where it would be wider than the figure.
  void heading(float y, const std::string& text, TextStyle style) {
    const float room = 4 * side_ + 3 * gap(), width = text_width(text, style);
    if (width > room) style.size *= room / width;
    canvas_.text(margin_left(), y, text, style);
  }
  float margin_left() const { return 66 * scale_; }
  float gap() const { return 26 * scale_; }
  float at_x(double x) const {
    return panel_.left + static_cast<float>((x - box_.center.x + box_.half) / (2 * box_.half)) * side_;
  }
  float at_y(double y) const {
    return panel_.bottom - static_cast<float>((y - box_.center.y + box_.half) / (2 * box_.half)) * side_;
  }
  // Smaller the more there are: 4,096 points of radius 1.8 in a panel of 440 pixels.
  float point_radius(std::size_t count) const {
    return scale_ *
           std::clamp(1.8f * std::pow(4096.0f / static_cast<float>(std::max<std::size_t>(count, 1)), 0.2f), 1.0f, 4.5f);
  }
  void dot(Point p, float radius, Color color, float alpha) {
    canvas_.disc(at_x(p.x), at_y(p.y), radius, color, alpha);
  }

  void draw_ticks(bool with_height_labels) {
    const TextStyle style{.size = 19 * scale_, .color = kSoftInk, .anchor = Anchor::center};
    for (const Tick& tick : round_ticks(box_.center.x - box_.half, box_.center.x + box_.half)) {
      const float x = std::round(at_x(tick.value)) + 0.5f;
      canvas_.line({x, panel_.top, x, panel_.bottom}, scale_, kRule);
      canvas_.text(x, panel_.bottom + 25 * scale_, tick.label, style);
    }
    if (!has_height_) return;
    for (const Tick& tick : round_ticks(box_.center.y - box_.half, box_.center.y + box_.half)) {
      const float y = std::round(at_y(tick.value)) + 0.5f;
      canvas_.line({panel_.left, y, panel_.right, y}, scale_, kRule);
      if (with_height_labels)
        canvas_.text(panel_.left - 9 * scale_, y + 6.5f * scale_, tick.label,
                     {.size = style.size, .color = kSoftInk, .anchor = Anchor::right});
    }
  }

  Box box_;
  float scale_, side_, top_;
  Canvas canvas_;
  bool has_height_;
  Rectangle panel_{};
};

}  // namespace

Image draw_transport(View<const float> source, View<const float> target, View<const float> generated,
                     const std::string& title, const TransportPlot& options) {
  constexpr const char* kName = "draw_transport";
  for (const auto& [name, view] : {std::pair{"source", source}, {"target", target}, {"generated", generated}})
    require(view.rank == 2 && view.columns() >= 1, kName, name, describe(view) + ", wanted [n, d]");
  require(same_shape(source, generated), kName, "generated",
          describe(generated) + ", wanted source's " + describe(source));
  require(options.panel_pixels >= 100 && options.panel_pixels <= 4000, kName, "panel_pixels",
          std::to_string(options.panel_pixels));

  Cloud clouds[] = {
      {"source", points_of(source), {}}, {"target", points_of(target), {}}, {"generated", points_of(generated), {}}};
  const std::vector<Point>&x0 = clouds[0].points, &x1 = clouds[1].points, &mapped = clouds[2].points;
  std::vector<Point> both = x0;
  both.insert(both.end(), x1.begin(), x1.end());
  const Box box = robust_box(both, mapped);
  const bool has_height = target.columns() > 1;
  for (Cloud& cloud : clouds) {
    if (!has_height) spread(cloud.points, box);
    cloud.density = relative_density(cloud.points, box, kBandwidth);
  }
  // One scale for all panels, set by what the map is between, not by the map: a collapsed one must not darken the
  // others. Source and target often differ tenfold, and between the two neither is washed out nor flat.
  const float highs[] = {high_density(clouds[0].density), high_density(clouds[1].density),
                         high_density(clouds[2].density)};
  const float densest =
      highs[0] > 0 && highs[1] > 0 ? std::sqrt(highs[0] * highs[1]) : *std::max_element(highs, highs + 3);

  Figure figure(box, title, options, has_height);
  for (int i = 0; i < 3; ++i) {
    const std::size_t count = clouds[i].points.size();
    figure.begin_panel(i,
                       i == 0   ? "source x0"
                       : i == 1 ? "target x1"
                                : "generated F(1, x0)",
                       fmt::format("n = {}", count));
    figure.draw_density(clouds[i], densest);
    figure.draw_note(clouds[i].points);
  }
  figure.begin_panel(3, "x0 \u2192 F(1, x0)", "");
  figure.draw_muted(clouds[1]);
  figure.draw_displacements(x0, mapped, options.lines);
  return figure.image();
}

}  // namespace otnfm
