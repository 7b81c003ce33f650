#include "engine/plot/canvas.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "engine/plot/axes.h"
#include "engine/plot/density.h"
#include "engine/plot/stroke_font.h"

namespace otnfm {
namespace {

constexpr Color kBlack = Color::hex(0x000000), kWhite = Color::hex(0xffffff);

// The area covered by white on black, in pixels.
double white_area(const Canvas& canvas) {
  double sum = 0;
  const Image image = canvas.image();
  for (std::uint8_t value : image.pixels) sum += value;
  return sum / 765;
}

int pixel(const Canvas& canvas, int x, int y) {
  return canvas.image().pixels[3 * (y * canvas.width() + x)];
}

TEST(Canvas, ShapesCoverTheirArea) {
  Canvas disc(80, 60, kBlack);
  disc.disc(37.3f, 29.8f, 20, kWhite);
  EXPECT_NEAR(white_area(disc), M_PI * 400, 6);
  EXPECT_EQ(pixel(disc, 37, 29), 255);
  EXPECT_EQ(pixel(disc, 60, 29), 0);
  Canvas line(80, 60, kBlack);
  line.line({10, 10, 70, 50}, 3, kWhite);
  EXPECT_NEAR(white_area(line), 3 * std::hypot(60, 40) + M_PI * 1.5 * 1.5, 3);
  Canvas thin(80, 60, kBlack);
  thin.line({10, 30.5f, 70, 30.5f}, 0.25f, kWhite);
  EXPECT_NEAR(white_area(thin), 0.25 * 61, 1);
  Canvas filled(20, 20, kBlack);
  filled.fill({2.25f, 3.5f, 7.75f, 9}, kWhite);
  EXPECT_NEAR(white_area(filled), 5.5 * 5.5, 0.2);
  EXPECT_EQ(pixel(filled, 2, 5), 191);
  EXPECT_EQ(pixel(filled, 3, 3), 128);
}

TEST(Canvas, OverlappingStrokesAreBlendedOnce) {
  Canvas canvas(40, 40, kBlack);
  const Segment segments[] = {{5, 20, 35, 20}, {20, 5, 20, 35}};
  canvas.strokes(segments, 6, kWhite, 0.5f);
  EXPECT_EQ(pixel(canvas, 20, 20), 128);
  EXPECT_EQ(pixel(canvas, 10, 20), 128);
}

TEST(Canvas, ClipsAndSurvivesAnyCoordinate) {
  Canvas canvas(30, 20, kBlack);
  canvas.set_clip({5, 5, 10, 10});
  canvas.fill({-1e30f, -1e30f, 1e30f, 1e30f}, kWhite);
  EXPECT_NEAR(white_area(canvas), 25, 1e-9);
  canvas.clear_clip();
  for (float far : {1e9f, -1e9f, 1e30f, INFINITY, -INFINITY, NAN}) {
    canvas.disc(far, 5, 3, kWhite);
    canvas.disc(5, far, 3, kWhite);
    canvas.line({far, far, 1, 1}, 2, kBlack);
    canvas.text(far, 5, "far", {.size = 10});
    canvas.text(5, far, "far", {.size = 10});
    canvas.set_clip({far, far, far, far});
    canvas.clear_clip();
  }
}

TEST(Font, HasAShapeOfItsOwnForEveryCharacter) {
  std::set<std::string> drawn;
  for (char c = ' '; c <= '~'; ++c) {
    Canvas canvas(60, 70, kBlack);
    canvas.text(10, 45, std::string(1, c), {.size = 40, .color = kWhite});
    EXPECT_EQ(white_area(canvas) > 5, c != ' ') << c;
    const Image image = canvas.image();
    EXPECT_TRUE(drawn.insert({image.pixels.begin(), image.pixels.end()}).second) << c << " looks like another";
    for (int x = 0; x < 60; ++x) {
      EXPECT_EQ(pixel(canvas, x, 0), 0) << c;
      EXPECT_EQ(pixel(canvas, x, 69), 0) << c;
    }
  }
}

TEST(Font, ReadsUtf8AndBoxesWhatItLacks) {
  const auto strokes = [](std::string_view text) {
    std::size_t count = 0;
    for (const PlacedGlyph& glyph : place_glyphs(text, 0, 0, 10)) count += glyph.segments.size();
    return count;
  };
  EXPECT_EQ(place_glyphs("a\u2192b", 0, 0, 10).size(), 3u);
  EXPECT_EQ(strokes("\u2192"), 3u);
  EXPECT_EQ(place_glyphs("\u00e9\u4e2d", 0, 0, 10).size(), 2u);
  EXPECT_EQ(strokes("\u00e9"), 4u);
  EXPECT_EQ(strokes("\n"), 4u);
  EXPECT_EQ(place_glyphs("\xff\x80\xe2\x86", 0, 0, 10).size(), 2u);  // broken UTF-8
  EXPECT_EQ(stroke_text_width("", 10), 0);
  EXPECT_LT(stroke_text_width("il", 10), stroke_text_width("WM", 10));
  EXPECT_NEAR(stroke_text_width("W2 0.53", 20), 2 * stroke_text_width("W2 0.53", 10), 1e-4);
}

TEST(Font, AnchorsText) {
  for (const auto& [anchor, left] : {std::pair{Anchor::left, 100.0}, {Anchor::center, 80.0}, {Anchor::right, 60.0}}) {
    Canvas canvas(200, 40, kBlack);
    const TextStyle style{.size = 20, .color = kWhite, .anchor = anchor};
    std::string text = "HH";
    canvas.text(100, 30, text, style);
    int first = 0;
    while (first < 200 && pixel(canvas, first, 22) < 100) ++first;
    const double width = text_width(text, style);
    const double wanted = anchor == Anchor::left ? 100 : anchor == Anchor::center ? 100 - width / 2 : 100 - width;
    EXPECT_NEAR(first, wanted, 1.5) << left;
  }
}

TEST(Axes, ShowEveryPointUnlessSomeLieFarOut) {
  std::vector<Point> points;
  for (int i = 0; i <= 1000; ++i) points.push_back({i / 1000.0, 5 + i / 2000.0});
  Box box = robust_box(points, {});
  for (const Point& p : points) EXPECT_TRUE(box.contains(p));
  EXPECT_NEAR(box.center.x, 0.5, 1e-9);
  EXPECT_NEAR(box.center.y, 5.25, 1e-9);
  EXPECT_NEAR(box.half, 0.54, 1e-9);

  points.push_back({1e30, -1e30});
  points.push_back({NAN, 5});
  points.push_back({0, INFINITY});
  const Box robust = robust_box(points, {});
  EXPECT_LT(robust.half, 1.2);
  EXPECT_FALSE(robust.contains({1e30, -1e30}));
  EXPECT_FALSE(robust.contains({NAN, 5}));

  // What follows may widen the box by a quarter of what is followed.
  EXPECT_NEAR(robust_box({{0, 0}, {4, 4}}, {{0, 0}, {100, 4}}).half, 1.08 * 2.5, 1e-9);
  EXPECT_NEAR(robust_box({}, {{0, 0}, {4, 4}}).half, 1.08 * 2, 1e-9);
  EXPECT_NEAR(robust_box({{NAN, NAN}}, {}).half, 1.08, 1e-9);
}

TEST(Axes, OfScalesThatHaveLittleInCommonAreTheirOwn) {
  const std::vector<Point> alike = {{0, 0}, {1, 7.9}};
  const Box square = robust_box_of_any_scale(alike, {});
  EXPECT_EQ(square.stretch, 1);
  EXPECT_EQ(square.half, robust_box(alike, {}).half);
  const Box table = robust_box_of_any_scale({{20, 10000}, {70, 90000}}, {});
  EXPECT_NEAR(table.half, 1.08 * 25, 1e-9);
  EXPECT_NEAR(table.half_height(), 1.08 * 40000, 1e-6);
  EXPECT_TRUE(table.contains({71, 91000}));
  EXPECT_FALSE(table.contains({71, 95000}));
  EXPECT_FALSE(table.contains({73, 91000}));
  const Box flat = robust_box_of_any_scale({{-1e6, 1}, {1e6, 3}}, {});
  EXPECT_NEAR(flat.half_height(), 1.08, 1e-9);
  EXPECT_EQ(robust_box_of_any_scale({{0, 5}, {1, 5}}, {}).stretch, 1);  // no extent, no scale
  EXPECT_EQ(robust_box_of_any_scale({}, {}).stretch, 1);
}

TEST(Axes, ShowSomethingAroundEqualPoints) {
  for (double value : {0.0, 1.0, -3e7, 1e30, 1e-30}) {
    const Box box = robust_box({{value, value}, {value, value}}, {});
    EXPECT_GT(box.half, 0);
    EXPECT_TRUE(box.contains({value, value}));
  }
}

TEST(Axes, TicksAreRoundAndDistinct) {
  const auto labels = [](double low, double high) {
    std::string all;
    for (const Tick& tick : round_ticks(low, high)) all += tick.label + " ";
    return all;
  };
  EXPECT_EQ(labels(-7, 7), "-5 0 5 ");
  EXPECT_EQ(labels(-1.08, 1.08), "-1.0 -0.5 0.0 0.5 1.0 ");
  EXPECT_EQ(labels(0, 1), "0.0 0.2 0.4 0.6 0.8 1.0 ");
  EXPECT_EQ(labels(2.6, 3.4), "2.6 2.8 3.0 3.2 3.4 ");
  EXPECT_EQ(labels(-120, 30), "-100 -50 0 ");
  EXPECT_EQ(labels(0, 4e6), "0 1e6 2e6 3e6 4e6 ");
  EXPECT_EQ(labels(0, 4e-6), "0 1e-6 2e-6 3e-6 4e-6 ");
  EXPECT_TRUE(round_ticks(1, 1).empty());
  EXPECT_TRUE(round_ticks(0, NAN).empty());
  EXPECT_TRUE(round_ticks(-INFINITY, INFINITY).empty());
  for (const auto& [low, high] :
       {std::pair{1e8, 1e8 + 200}, {-3e-9, 5e-9}, {0.1, 0.1001}, {-1e30, 2e30}, {99999.0, 100001.0}}) {
    std::set<std::string> distinct;
    const std::vector<Tick> ticks = round_ticks(low, high);
    EXPECT_GE(ticks.size(), 3u);
    EXPECT_LE(ticks.size(), 7u);
    for (const Tick& tick : ticks) {
      EXPECT_TRUE(distinct.insert(tick.label).second) << tick.label;
      EXPECT_GE(tick.value, low - 1e-9 * (high - low));
      EXPECT_LE(tick.value, high + 1e-9 * (high - low));
      EXPECT_NEAR(std::stod(tick.label), tick.value, 1e-9 * std::abs(tick.value) + 1e-12 * (high - low));
    }
  }
}

TEST(Density, CountsTheNeighbours) {
  const Box box{{0, 0}, 1};
  std::vector<Point> points(90, Point{-0.5, -0.5});
  points.resize(100, Point{0.5, 0.5});
  points.push_back({0.5, -0.5});
  points.push_back({7, 0});
  points.push_back({NAN, 0});
  const std::vector<float> density = relative_density(points, box, 0.02);
  const auto n = static_cast<float>(points.size());
  EXPECT_NEAR(density[0], 90 / n, 1e-6);
  EXPECT_NEAR(density[95], 10 / n, 1e-6);
  EXPECT_NEAR(density[100], 1 / n, 1e-6);
  EXPECT_EQ(density[101], 0);
  EXPECT_EQ(density[102], 0);
  // Two points one standard deviation apart, along either axis: exp(-1/2) of each other.
  for (const Point offset : {Point{0.04, 0}, Point{0, 0.04}}) {
    const std::vector<float> pair = relative_density({{0.1, 0.1}, {0.1 + offset.x, 0.1 + offset.y}}, box, 0.02);
    EXPECT_NEAR(pair[0], (1 + std::exp(-0.5)) / 2, 0.04);
    EXPECT_NEAR(pair[1], pair[0], 1e-6);
  }
  EXPECT_TRUE(relative_density({}, box, 0.02).empty());
}

}  // namespace
}  // namespace otnfm
