#include "engine/plot/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/plot/axes.h"
#include "engine/plot/panels.h"

namespace otnfm {

namespace {

std::vector<Point> values_of(View<const float> rows) {
  std::vector<Point> values(static_cast<std::size_t>(rows.rows()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i].x = rows(static_cast<std::int64_t>(i), 0);
  return values;
}

/// The share of all values in each of equal bins over the box's width.
std::vector<double> shares_of(const std::vector<Point>& values, const Box& box, int bins) {
  std::vector<double> shares(static_cast<std::size_t>(bins));
  for (const Point& p : values) {
    if (!box.contains({p.x, box.center.y})) continue;
    const double at = (p.x - box.center.x + box.half) / (2 * box.half) * bins;
    shares[static_cast<std::size_t>(std::clamp(static_cast<int>(at), 0, bins - 1))] +=
        1 / static_cast<double>(values.size());
  }
  return shares;
}

/// More points, finer bins: about twice the cube root (Rice's rule) over the range, of which the data fill a part.
int bins_for(std::size_t count) {
  return std::clamp(static_cast<int>(3 * std::cbrt(static_cast<double>(count))), 12, 90);
}

class Histograms {
 public:
  Histograms(Panels& panels, const Box& box, double top) : panels_(panels), box_(box), top_(top) {}

  void bars(const std::vector<double>& shares) {
    for (std::size_t k = 0; k < shares.size(); ++k) {
      if (shares[k] == 0) continue;
      const auto level = static_cast<float>(std::min(1.0, shares[k] / top_));
      const Rectangle bar{edge(k, shares.size()) + 0.5f, height(shares[k]), edge(k + 1, shares.size()) - 0.5f,
                          panels_.y(box_.center.y - box_.half)};
      panels_.canvas().fill(bar, viridis(0.28f + 0.72f * level));
    }
  }

  void outline(const std::vector<double>& shares, Color color) {
    std::vector<Segment> steps;
    steps.reserve(2 * shares.size());
    float before = height(0);
    for (std::size_t k = 0; k < shares.size(); ++k) {
      const float left = edge(k, shares.size()), now = height(shares[k]);
      steps.push_back({left, before, left, now});
      steps.push_back({left, now, edge(k + 1, shares.size()), now});
      before = now;
    }
    panels_.canvas().strokes(steps, 1.6f * panels_.scale(), color, 0.9f);
  }

 private:
  float edge(std::size_t k, std::size_t bins) const {
    const double share = static_cast<double>(k) / static_cast<double>(bins);
    return panels_.x(box_.center.x + box_.half * (2 * share - 1));
  }
  float height(double share) const {
    return panels_.y(box_.center.y + box_.half * (2 * 0.92 * std::min(share / top_, 1.2) - 1));
  }

  Panels& panels_;
  Box box_;
  double top_;
};

}  // namespace

Image draw_histograms(View<const float> source, View<const float> target, View<const float> generated,
                      const std::string& title, const TransportPlot& options) {
  const std::vector<Point> x0 = values_of(source), x1 = values_of(target), mapped = values_of(generated);
  std::vector<Point> both = x0;
  both.insert(both.end(), x1.begin(), x1.end());
  Box box = robust_box(both, mapped);
  box.center.y = box.center.x;  // for the map's graph, whose axes are both that of the values

  const int bins = bins_for(x1.empty() ? x0.size() : std::min(x0.size(), x1.size()));
  const std::vector<double> shares[] = {shares_of(x0, box, bins), shares_of(x1, box, bins),
                                        shares_of(mapped, box, bins)};
  const auto highest = [](const std::vector<double>& s) { return *std::max_element(s.begin(), s.end()); };
  // A collapsed map is one high bar: it is cut off rather than the others made flat.
  double top = std::max(highest(shares[0]), highest(shares[1]));
  if (top == 0) top = 1;

  const bool has_target = !x1.empty();
  Panels panels({.count = has_target ? 4 : 3,
                 .panel_pixels = options.panel_pixels,
                 .title = title,
                 .caption = options.caption,
                 .own_heights = true});
  Histograms histograms(panels, box, top);
  int panel = 0;
  const auto begin = [&](const char* name, const std::vector<Point>& values, const std::vector<double>& of) {
    panels.begin(panel++, box, name, fmt::format("n = {}", values.size()), {.height = false});
    histograms.bars(of);
  };
  const auto end = [&](std::vector<Point> values) {
    for (Point& p : values) p.y = box.center.y;
    panels.remark(left_out(values, box));
  };
  begin("source x0", x0, shares[0]);
  end(x0);
  if (has_target) {
    begin("target x1", x1, shares[1]);
    end(x1);
  }
  begin("generated F(1, x0)", mapped, shares[2]);
  if (has_target) histograms.outline(shares[1], Color::hex(0xf2f0f7));
  end(mapped);

  panels.begin(panel, box, "x0 \u2192 F(1, x0)", "", {});
  const double low = box.center.x - box.half, high = box.center.x + box.half;
  panels.line({low, low}, {high, high}, 1.2f * panels.scale(), kMuted);
  for (std::size_t i = 0; i < x0.size(); ++i)
    if (const Point p{x0[i].x, mapped[i].x}; box.contains(p))
      panels.dot(p, 1.8f * panels.scale(), viridis(0.72f), 0.85f);
  return panels.image();
}

}  // namespace otnfm
