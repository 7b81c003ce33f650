#include "engine/plot/map_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/plot/panels.h"
#include "kernels/check.h"

namespace otnfm {

namespace {

constexpr std::int64_t kSide = MapGrid::kSide;

Point point_of(View<const float> rows, std::int64_t i) {
  return {rows(i, 0), rows(i, 1)};
}

/// From blue over near black, which is 0, to orange; value in [-1, 1].
Color diverging(double value) {
  constexpr Color kZero = Color::hex(0x1c1428), kLow[] = {Color::hex(0x2f62b8), Color::hex(0xa8dcff)},
                  kHigh[] = {Color::hex(0xc2502a), Color::hex(0xffe08a)};
  const auto size = static_cast<float>(std::min(std::abs(value), 1.0));
  const Color* colors = value < 0 ? kLow : kHigh;
  return size < 0.5f ? mix(kZero, colors[0], 2 * size) : mix(colors[0], colors[1], 2 * size - 1);
}

double quantile(std::vector<double> values, double share) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return 0;
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

void draw_arrow(Panels& panels, Point from, Point to, Color color) {
  const float x0 = panels.x(from.x), y0 = panels.y(from.y), x1 = panels.x(to.x), y1 = panels.y(to.y);
  const float length = std::hypot(x1 - x0, y1 - y0), scale = panels.scale();
  Canvas& canvas = panels.canvas();
  if (!(length > 2 * scale)) {
    canvas.disc(x0, y0, 1.5f * scale, color);
    return;
  }
  const float width = 1.5f * scale, head = std::min(6 * scale, 0.4f * length);
  const float ux = (x1 - x0) / length, uy = (y1 - y0) / length;
  const Segment parts[] = {{x0, y0, x1, y1},
                           {x1, y1, x1 - head * (ux + 0.5f * uy), y1 - head * (uy - 0.5f * ux)},
                           {x1, y1, x1 - head * (ux - 0.5f * uy), y1 - head * (uy + 0.5f * ux)}};
  canvas.strokes(parts, width, color);
}

void draw_displacements(Panels& panels, const MapGrid& grid, View<const float> nodes, View<const float> images) {
  constexpr std::int64_t kStep = 6;
  std::vector<double> lengths;
  lengths.reserve(kSide * kSide);
  const auto length = [&](std::int64_t i) {
    return std::hypot(static_cast<double>(images(i, 0) - nodes(i, 0)), static_cast<double>(images(i, 1) - nodes(i, 1)));
  };
  for (std::int64_t i = 0; i < kSide * kSide; ++i) lengths.push_back(length(i));
  const double longest = quantile(lengths, 0.99);
  // Arrows at scale would cover each other where the map goes far: the longest is a little over the grid's step.
  const double cell = 2 * grid.box.half * kStep / (kSide - 1);
  const double shrink = longest > 0 ? std::min(1.0, 1.3 * cell / longest) : 1;
  for (std::int64_t r = kStep / 2; r < kSide; r += kStep)
    for (std::int64_t c = kStep / 2; c < kSide; c += kStep) {
      const std::int64_t i = r * kSide + c;
      if (!std::isfinite(length(i))) continue;
      const Point from = point_of(nodes, i), end = point_of(images, i);
      const auto level = static_cast<float>(longest > 0 ? std::min(1.0, length(i) / longest) : 0);
      draw_arrow(panels, from, {from.x + shrink * (end.x - from.x), from.y + shrink * (end.y - from.y)},
                 viridis(0.25f + 0.75f * level));
    }
  panels.color_scale(0, longest, shrink < 1 ? fmt::format("length (arrows: {:.2g} of it)", shrink) : "length",
                     [](float share) { return viridis(0.25f + 0.75f * share); });
}

void draw_grid_image(Panels& panels, View<const float> images, View<const float> points) {
  std::vector<Point> at = points_of(points);
  const float radius = panels.scale() * (at.size() > 2000 ? 1.2f : 1.8f);
  for (const Point& p : at)
    if (std::isfinite(p.x) && std::isfinite(p.y)) panels.dot(p, radius, Color::hex(0x8f86ad), 0.45f);
  // Lines of equal x and lines of equal y, each from one colour to another: so left and right, below and above can
  // still be told after the map.
  const Color ends[2][2] = {{Color::hex(0x4cc9f0), Color::hex(0xb5f5a0)}, {Color::hex(0xf72585), Color::hex(0xffc857)}};
  for (int direction = 0; direction < 2; ++direction)
    for (std::int64_t line = 0; line < kSide; line += MapGrid::kLineStep) {
      const Color color =
          mix(ends[direction][0], ends[direction][1], static_cast<float>(line) / static_cast<float>(kSide - 1));
      for (std::int64_t k = 0; k + 1 < kSide; ++k) {
        const std::int64_t a = direction == 0 ? k * kSide + line : line * kSide + k;
        const std::int64_t b = a + (direction == 0 ? kSide : 1);
        panels.line(point_of(images, a), point_of(images, b), 1.15f * panels.scale(), color, 0.9f);
      }
    }
}

void draw_log_dets(Panels& panels, View<const float> nodes, std::span<const double> log_dets,
                   std::span<const char> folds) {
  const std::vector<double> values(log_dets.begin(), log_dets.end());
  const double high = std::max({1e-3, std::abs(quantile(values, 0.01)), std::abs(quantile(values, 0.99))});
  const Color fold = Color::hex(0xff2fd0);
  const float half = panels.side() / static_cast<float>(kSide - 1) / 2;
  for (std::int64_t i = 0; i < kSide * kSide; ++i) {
    const float x = panels.x(nodes(i, 0)), y = panels.y(nodes(i, 1));
    const double value = log_dets[static_cast<std::size_t>(i)];
    const Color color = folds[static_cast<std::size_t>(i)] ? fold
                        : std::isnan(value)                ? kMuted
                                                           : diverging(value / high);
    // Whole pixels, over the neighbours: edges that only meet would let the panel through.
    panels.canvas().fill({std::floor(x - half), std::floor(y - half), std::ceil(x + half), std::ceil(y + half)}, color);
  }
  const auto folded = std::count_if(folds.begin(), folds.end(), [](char is) { return is != 0; });
  if (folded > 0)
    panels.remark(fmt::format("pink: folded, {:.2g}%", 100 * static_cast<double>(folded) / (kSide * kSide)));
  panels.color_scale(-high, high, "0", [](float share) { return diverging(2 * share - 1); });
}

}  // namespace

void MapGrid::fill(View<float> nodes) const {
  require_matrix("MapGrid", "nodes", nodes, kSide * kSide, 2);
  for (std::int64_t r = 0; r < kSide; ++r)
    for (std::int64_t c = 0; c < kSide; ++c) {
      const auto at = [&](double center, std::int64_t k) {
        return static_cast<float>(center + box.half * (2 * static_cast<double>(k) / (kSide - 1) - 1));
      };
      nodes(r * kSide + c, 0) = at(box.center.x, c);
      nodes(r * kSide + c, 1) = at(box.center.y, r);
    }
}

Image draw_map(const MapGrid& grid, View<const float> images, std::span<const double> log_dets,
               std::span<const char> folds, View<const float> points, const MapPlot& options) {
  constexpr const char* kName = "draw_map";
  require_matrix(kName, "images", images, kSide * kSide, 2);
  require(points.rank == 2 && points.columns() == 2, kName, "points", describe(points) + ", wanted [n, 2]");
  require(log_dets.size() == kSide * kSide && folds.size() == kSide * kSide, kName, "log_dets and folds",
          std::to_string(log_dets.size()) + ", " + std::to_string(folds.size()));
  require(options.panel_pixels >= 100 && options.panel_pixels <= 4000, kName, "panel_pixels",
          std::to_string(options.panel_pixels));
  std::vector<float> node_values(kSide * kSide * 2);
  const View<float> nodes(node_values.data(), {kSide * kSide, 2});
  grid.fill(nodes);

  Panels panels({.count = 3,
                 .panel_pixels = options.panel_pixels,
                 .title = options.title,
                 .caption = options.caption,
                 .color_scales = true,
                 .own_heights = true});
  const std::string t = fmt::format("t = {:.3g}", options.time);
  panels.begin(0, grid.box, "displacement x \u2192 F(t, x)", t, {});
  draw_displacements(panels, grid, nodes, images);
  panels.begin(1, robust_box(points_of(points), points_of(images)), "the grid's image F(t, x)",
               fmt::format("{} samples", points.rows()), {});
  draw_grid_image(panels, images, points);
  panels.begin(2, grid.box, "log |det dF/dx| at x", t, {});
  draw_log_dets(panels, nodes, log_dets, folds);
  return panels.image();
}

Image draw_paths(View<const float> points, const std::string& title, int panel_pixels) {
  constexpr const char* kName = "draw_paths";
  require(points.rank == 3 && points.shape[0] >= 2 && points.shape[2] >= 1 && points.contiguous(), kName, "points",
          describe(points) + ", wanted contiguous [K, n, d] of at least 2 times");
  require(panel_pixels >= 100 && panel_pixels <= 4000, kName, "panel_pixels", std::to_string(panel_pixels));
  const std::int64_t times = points.shape[0], n = points.shape[1], d = points.shape[2];
  const auto value = [&](std::int64_t k, std::int64_t i, std::int64_t j) {
    return static_cast<double>(points.data[(k * n + i) * d + j]);
  };
  std::vector<Point> first, last;
  first.reserve(static_cast<std::size_t>(n));
  last.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    first.push_back({value(0, i, 0), d > 1 ? value(0, i, 1) : value(0, i, 0)});
    last.push_back({value(times - 1, i, 0), d > 1 ? value(times - 1, i, 1) : value(times - 1, i, 0)});
  }
  std::vector<Point> both = first;
  both.insert(both.end(), last.begin(), last.end());
  const Box box = d > 1 ? robust_box_of_any_scale(both, {}) : robust_box(both, {});
  const auto share = [&](std::int64_t k) { return static_cast<double>(k) / static_cast<double>(times - 1); };
  // A line of values has no second coordinate: time takes its place.
  const auto at = [&](std::int64_t k, std::int64_t i) -> Point {
    if (d > 1) return {value(k, i, 0), value(k, i, 1)};
    return {box.center.x + box.half * 0.9 * (2 * share(k) - 1), value(k, i, 0)};
  };
  const auto color = [](double time) { return viridis(static_cast<float>(0.2 + 0.8 * time)); };

  Panels panels({.count = 2,
                 .panel_pixels = panel_pixels,
                 .title = title,
                 .caption = with_axes("", d, box),
                 .color_scales = true});
  const float scale = panels.scale();
  const std::int64_t paths = std::min<std::int64_t>(n, 160);
  panels.begin(0, box, "paths F(t, x0)", fmt::format("{} of {}", paths, n), {.width = d > 1});
  for (std::int64_t i = 0; i < paths; ++i)
    for (std::int64_t k = 0; k + 1 < times; ++k)
      panels.line(at(k, i), at(k + 1, i), 1.4f * scale, color((share(k) + share(k + 1)) / 2), 0.85f);
  for (std::int64_t i = 0; i < paths; ++i) {
    panels.dot(at(0, i), 2.2f * scale, Color::hex(0xf2f0f7), 1);
    panels.dot(at(times - 1, i), 3.4f * scale, kPanel, 0.7f);
    panels.dot(at(times - 1, i), 2.7f * scale, color(1), 1);
  }
  panels.color_scale(0, 1, "time t", [&](float time) { return color(time); });
  panels.begin(1, box, "all points at each time", fmt::format("{} times", times),
               {.width = d > 1, .height_labels = false});
  const float radius = scale * (n > 2000 ? 1.0f : 1.5f);
  for (std::int64_t k = 0; k < times; ++k)
    for (std::int64_t i = 0; i < n; ++i)
      if (const Point p = at(k, i); box.contains(p)) panels.dot(p, radius, color(share(k)), 0.6f);
  panels.color_scale(0, 1, "time t", [&](float time) { return color(time); });
  return panels.image();
}

}  // namespace otnfm
