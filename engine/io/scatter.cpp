#include "engine/io/scatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/io/axes.h"
#include "engine/io/density.h"
#include "engine/io/panels.h"
#include "kernels/check.h"

namespace otnfm {

namespace {

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
        panels_({.count = 4, .panel_pixels = options.panel_pixels, .title = title, .caption = options.caption}),
        scale_(panels_.scale()),
        has_height_(has_height) {}

  void begin_panel(int number, const std::string& name, const std::string& count) {
    panels_.begin(number, box_, name, count, {.height = has_height_, .height_labels = number == 0});
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
      panels_.dot(cloud.points[i], radius, viridis(0.28f + 0.72f * level), 0.85f);
    }
  }

  void draw_muted(const Cloud& cloud) {
    const float radius = point_radius(cloud.points.size());
    for (const Point& p : cloud.points)
      if (box_.contains(p)) panels_.dot(p, radius, kMuted, 0.55f);
  }

  // Coloured by the direction, seen from the middle, in which the end lies.
  void draw_displacements(const std::vector<Point>& from, const std::vector<Point>& to, int lines) {
    std::vector<std::size_t> shown;
    for (std::size_t i = 0; i < from.size() && static_cast<int>(shown.size()) < lines; ++i)
      if (box_.contains(from[i]) && box_.contains(to[i])) shown.push_back(i);
    const auto color = [&](Point end) {
      return color_wheel(std::atan2(end.y - box_.center.y, end.x - box_.center.x), 0.76, 0.13);
    };
    for (std::size_t i : shown) panels_.line(from[i], to[i], 1.7f * scale_, color(to[i]), 0.75f);
    for (std::size_t i : shown) {
      panels_.dot(from[i], 3.3f * scale_, kPanel, 1);
      panels_.dot(from[i], 2.2f * scale_, Color::hex(0xf2f0f7), 1);
    }
    for (std::size_t i : shown) {
      panels_.dot(to[i], 5.2f * scale_, kPanel, 0.7f);
      panels_.dot(to[i], 4.2f * scale_, color(to[i]), 1);
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
    panels_.remark(note);
  }

  Image image() const { return panels_.image(); }

 private:
  // Smaller the more there are: 4,096 points of radius 1.8 in a panel of 440 pixels.
  float point_radius(std::size_t count) const {
    return scale_ *
           std::clamp(1.8f * std::pow(4096.0f / static_cast<float>(std::max<std::size_t>(count, 1)), 0.2f), 1.0f, 4.5f);
  }

  Box box_;
  Panels panels_;
  float scale_;
  bool has_height_;
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
