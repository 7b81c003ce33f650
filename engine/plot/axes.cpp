#include "engine/plot/axes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace otnfm {

namespace {

struct Range {
  double low, high;
};

std::optional<Range> robust_range(const std::vector<Point>& points, double Point::*axis) {
  std::vector<double> values;
  for (const Point& p : points)
    if (std::isfinite(p.*axis)) values.push_back(p.*axis);
  if (values.empty()) return std::nullopt;
  const auto value_at = [&](double rank) {
    const auto nth = values.begin() + static_cast<std::int64_t>(rank);
    std::nth_element(values.begin(), nth, values.end());
    return *nth;
  };
  const auto last = static_cast<double>(values.size() - 1);
  const double low = value_at(std::floor(0.01 * last)), high = value_at(std::ceil(0.99 * last)),
               allowed = (high - low) / 2;
  Range range{low, high};
  for (double value : values) {
    if (value < low - allowed || value > high + allowed) continue;
    range = {std::min(range.low, value), std::max(range.high, value)};
  }
  return range;
}

Range common_range(const std::vector<Point>& points, const std::vector<Point>& followers, double Point::*axis) {
  const std::optional<Range> led = robust_range(points, axis), followed = robust_range(followers, axis);
  if (!led) return followed.value_or(Range{-1, 1});
  if (!followed) return *led;
  const double allowed = (led->high - led->low) / 4;
  return {std::min(led->low, std::max(followed->low, led->low - allowed)),
          std::max(led->high, std::min(followed->high, led->high + allowed))};
}

// All values equal: something must be shown around them, and wide enough for the ticks to differ.
double with_margin(double half, double magnitude) {
  half *= 1.08;
  if (half <= 1e-6 * magnitude) half = 0.1 * magnitude;
  return half < 1e-30 ? 1 : half;
}

}  // namespace

std::vector<Point> points_of(View<const float> rows) {
  std::vector<Point> points(static_cast<std::size_t>(rows.rows()));
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    points[i] = {rows(row, 0), rows(row, 1)};
  }
  return points;
}

Box robust_box(const std::vector<Point>& points, const std::vector<Point>& followers) {
  const Range x = common_range(points, followers, &Point::x), y = common_range(points, followers, &Point::y);
  Box box;
  box.center = {x.low / 2 + x.high / 2, y.low / 2 + y.high / 2};
  box.half = with_margin(std::max(x.high / 2 - x.low / 2, y.high / 2 - y.low / 2),
                         std::max(std::abs(box.center.x), std::abs(box.center.y)));
  return box;
}

Box robust_box_of_any_scale(const std::vector<Point>& points, const std::vector<Point>& followers) {
  constexpr double kAlike = 8;
  Box box = robust_box(points, followers);
  const Range x = common_range(points, followers, &Point::x), y = common_range(points, followers, &Point::y);
  const double half_x = x.high / 2 - x.low / 2, half_y = y.high / 2 - y.low / 2;
  // An axis without any extent has no scale.
  if (half_x <= 0 || half_y <= 0 || (half_x <= kAlike * half_y && half_y <= kAlike * half_x)) return box;
  const double width = with_margin(half_x, std::abs(box.center.x)),
               height = with_margin(half_y, std::abs(box.center.y));
  if (!(height / width < 1e30 && width / height < 1e30)) return box;
  box.half = width;
  box.stretch = height / width;
  return box;
}

std::string left_out(const std::vector<Point>& points, const Box& box) {
  std::int64_t outside = 0, broken = 0;
  for (const Point& p : points) {
    const bool finite = std::isfinite(p.x) && std::isfinite(p.y);
    broken += !finite;
    outside += finite && !box.contains(p);
  }
  std::string text;
  if (outside > 0) text = fmt::format("{} outside", outside);
  if (broken > 0) text += fmt::format("{}{} not finite", text.empty() ? "" : ", ", broken);
  return text;
}

std::vector<Tick> round_ticks(double low, double high) {
  const double rough = (high - low) / 5;
  if (!(rough > 0) || !std::isfinite(rough)) return {};
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (double factor : {1.0, 2.0, 5.0})
    if (factor * power >= 0.999 * rough) {
      step = factor * power;
      break;
    }
  std::vector<Tick> ticks;
  const double magnitude = std::max(std::abs(low), std::abs(high));
  const int exponent = static_cast<int>(std::floor(std::log10(step) + 1e-9));
  // 17 * 0.2 is a little more than 3.4.
  for (double k = std::ceil(low / step - 1e-9); k <= high / step + 1e-9 && ticks.size() < 12; ++k) {
    const double value = k == 0 ? 0 : k * step;  // not -0
    const bool plain = magnitude < 1e5 && exponent >= -4;
    const int digits = plain ? std::max(0, -exponent) : static_cast<int>(std::floor(std::log10(magnitude))) - exponent;
    std::string label = plain || value == 0 ? fmt::format("{:.{}f}", value, plain ? digits : 0)
                                            : fmt::format("{:.{}e}", value, std::clamp(digits, 0, 15));
    // 1.0e5 says what 1.0e+05 does, in the room there is.
    for (const char* filler : {"e+0", "e+", "e-0"})
      if (const std::size_t at = label.find(filler); at != std::string::npos)
        label.replace(at, std::string_view(filler).size(), filler[1] == '+' ? "e" : "e-");
    ticks.push_back({value, std::move(label)});
  }
  return ticks;
}

}  // namespace otnfm
