#include "engine/plot/scatter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/plot/axes.h"
#include "engine/plot/density.h"
#include "engine/plot/histogram.h"
#include "engine/plot/panels.h"
#include "kernels/check.h"

namespace otnfm {

namespace {

constexpr double kBandwidth = 0.017;  // of the density, as a share of a panel's side

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
  Figure(const Box& box, int panels, const std::string& title, const TransportPlot& options)
      : box_(box),
        panels_({.count = panels, .panel_pixels = options.panel_pixels, .title = title, .caption = options.caption}),
        scale_(panels_.scale()) {}

  void begin_panel(const std::string& name, const std::string& note) {
    panels_.begin(next_, box_, name, note, {.height_labels = next_ == 0});
    ++next_;
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
      return color_wheel(std::atan2((end.y - box_.center.y) / box_.stretch, end.x - box_.center.x), 0.76, 0.13);
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

  void draw_note(const std::vector<Point>& points) { panels_.remark(left_out(points, box_)); }

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
  int next_ = 0;
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

  if (target.columns() == 1) return draw_histograms(source, target, generated, title, options);

  Cloud clouds[] = {{"source x0", points_of(source), {}},
                    {"target x1", points_of(target), {}},
                    {"generated F(1, x0)", points_of(generated), {}}};
  const std::vector<Point>&x0 = clouds[0].points, &x1 = clouds[1].points, &mapped = clouds[2].points;
  std::vector<Point> both = x0;
  both.insert(both.end(), x1.begin(), x1.end());
  const Box box = robust_box_of_any_scale(both, mapped);
  for (Cloud& cloud : clouds) cloud.density = relative_density(cloud.points, box, kBandwidth);
  // One scale for all panels, set by what the map is between, not by the map: a collapsed one must not darken the
  // others. Source and target often differ tenfold, and between the two neither is washed out nor flat.
  const float highs[] = {high_density(clouds[0].density), high_density(clouds[1].density),
                         high_density(clouds[2].density)};
  const float densest =
      highs[0] > 0 && highs[1] > 0 ? std::sqrt(highs[0] * highs[1]) : *std::max_element(highs, highs + 3);

  TransportPlot said = options;
  said.caption = with_axes(options.caption, target.columns(), box);
  Figure figure(box, x1.empty() ? 3 : 4, title, said);
  for (const Cloud& cloud : clouds) {
    if (&cloud == &clouds[1] && x1.empty()) continue;
    figure.begin_panel(cloud.name, fmt::format("n = {}", cloud.points.size()));
    figure.draw_density(cloud, densest);
    figure.draw_note(cloud.points);
  }
  figure.begin_panel("x0 \u2192 F(1, x0)", "");
  figure.draw_muted(clouds[1]);
  figure.draw_displacements(x0, mapped, options.lines);
  return figure.image();
}

}  // namespace otnfm
