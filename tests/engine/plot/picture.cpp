// The pictures: what stands where, and that nothing in the data can break them.
#include <cmath>
#include <limits>
#include <random>

#include "engine/io/png.h"
#include "engine/plot/image_grid.h"
#include "engine/plot/scatter.h"
#include "tests/engine/io/files.h"

namespace otnfm {
namespace {

using testing::input_error;

View<const float> rows_of(const std::vector<float>& values, std::int64_t columns = 2) {
  return {values.data(), {static_cast<std::int64_t>(values.size()) / columns, columns}};
}

std::vector<float> normal(std::size_t count, float scale, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution(0, scale);
  std::vector<float> values(count);
  for (float& v : values) v = distribution(random);
  return values;
}

constexpr int kSide = 200;
const TransportPlot kSmall{.caption = "", .panel_pixels = kSide, .lines = 8};
constexpr double kScale = kSide / 440.0;

// Where the panels are: the layout that scatter.cpp documents by its constants.
struct Place {
  double x, y;
};
Place in_panel(int panel, double right, double up) {
  return {66 * kScale + panel * (kSide + 26 * kScale) + right * kSide, 104 * kScale + (1 - up) * kSide};
}

int brightness(const Image& image, Place place) {
  const std::uint8_t* p =
      image.pixels.data() + 3 * (static_cast<std::int64_t>(place.y) * image.width + static_cast<std::int64_t>(place.x));
  return p[0] + p[1] + p[2];
}

TEST(Transport, PutsPointsWhereTheyAre) {
  // A frame of points makes the box [-1.08, 1.08]; the third point of each set is the one to be found.
  const std::vector<float> source = {-1, -1, 1, 1, 0.5f, 0.7f}, target = {-1, -1, 1, 1, -0.6f, 0.3f},
                           generated = {-1, -1, 1, 1, 0.2f, -0.8f};
  const Image image = draw_transport(rows_of(source), rows_of(target), rows_of(generated), "title", kSmall);
  const auto at = [](int panel, double x, double y) { return in_panel(panel, (x + 1.08) / 2.16, (y + 1.08) / 2.16); };
  EXPECT_GT(brightness(image, at(0, 0.5, 0.7)), 300);
  EXPECT_GT(brightness(image, at(1, -0.6, 0.3)), 300);
  EXPECT_GT(brightness(image, at(2, 0.2, -0.8)), 300);
  EXPECT_GT(brightness(image, at(3, 0.5, 0.7)), 600);     // the source's white dot
  EXPECT_GT(brightness(image, at(3, 0.35, -0.05)), 200);  // half way along the line
  for (int panel = 0; panel < 4; ++panel) {
    EXPECT_LT(brightness(image, at(panel, -0.4, 0.7)), 100);
    EXPECT_LT(brightness(image, at(panel, 0.7, -0.5)), 100);
  }
  EXPECT_GT(brightness(image, {static_cast<double>(image.width) - 3, 3}), 750);  // paper
}

TEST(Transport, GivesEachAxisItsScaleWhereTheyHaveLittleInCommon) {
  const std::vector<float> plain = normal(600, 1, 6);
  std::vector<float> table = plain;
  for (std::size_t i = 1; i < table.size(); i += 2) table[i] = 4096 * table[i];
  table.insert(table.end(), {-4, -4096 * 4, 4, 4096 * 4});
  const Image image = draw_transport(rows_of(table), rows_of(table), rows_of(table), "", kSmall);
  // The picture is that of the plain points, but for its numbers and the line that says so.
  std::vector<float> same = plain;
  same.insert(same.end(), {-4, -4, 4, 4});
  TransportPlot said = kSmall;
  said.caption = "each axis to its own scale";
  const Image wanted = draw_transport(rows_of(same), rows_of(same), rows_of(same), "", said);
  ASSERT_EQ(image.pixels.size(), wanted.pixels.size());
  for (int panel = 0; panel < 4; ++panel)
    for (int right = 1; right < kSide; ++right)
      for (int up = 1; up < kSide; ++up) {
        Place place = in_panel(panel, (right + 0.5) / kSide, (up + 0.5) / kSide);
        place.y += 34 * kScale;  // the caption
        // Other numbers at the side have other lines across.
        if (std::abs(brightness(image, place) - brightness(wanted, place)) > 90)
          FAIL() << "panel " << panel << " at " << right << ", " << up;
      }
}

TEST(Transport, CountsWhatItLeavesOut) {
  const std::vector<float> good = normal(400, 1, 1);
  std::vector<float> bad = good;
  bad[0] = 1e30f;
  bad[3] = NAN;
  bad[5] = std::numeric_limits<float>::infinity();
  const Image clean = draw_transport(rows_of(good), rows_of(good), rows_of(good), "", kSmall);
  const Image noted = draw_transport(rows_of(good), rows_of(good), rows_of(bad), "", kSmall);
  int changed[4] = {};
  for (int panel = 0; panel < 4; ++panel)
    for (int right = 20; right < kSide; ++right)
      for (int up = 5; up < 14; ++up) {
        const Place place = in_panel(panel, (right + 0.5) / kSide, (up + 0.5) / kSide);
        changed[panel] += brightness(clean, place) != brightness(noted, place);
      }
  EXPECT_EQ(changed[0], 0);
  EXPECT_EQ(changed[1], 0);
  EXPECT_GT(changed[2], 100);  // the note's letters
}

TEST(Transport, DrawsAnyData) {
  const float huge = std::numeric_limits<float>::max(), infinite = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> sets = {{},
                                                {3, 4},
                                                {NAN, NAN},
                                                {0, 0, 0, 0},
                                                {huge, -huge, -huge, huge},
                                                {infinite, -infinite, 1, NAN},
                                                {1e-38f, 1e-45f, 0, 0},
                                                normal(2, 1, 3),
                                                normal(62, 1e30f, 4),
                                                normal(500, 1e-20f, 5),
                                                std::vector<float>(600, -7)};
  const TransportPlot plot{.panel_pixels = 100, .lines = 8};
  for (const std::vector<float>& source : sets)
    for (const std::vector<float>& target : sets) {
      const Image image = draw_transport(rows_of(source), rows_of(target), rows_of(source), "any", plot);
      EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(image.width * image.height * 3));
      EXPECT_GT(image.width, (target.empty() ? 3 : 4) * plot.panel_pixels);
    }
}

TEST(Transport, SaysWhichOfManyCoordinatesItShows) {
  const std::vector<float> values = normal(600, 1, 6);
  TransportPlot plot{.panel_pixels = kSide, .lines = 0};
  const View<const float> six = rows_of(values, 6), first = six.column_slice(0, 2);
  const Image many = draw_transport(six, six, six, "six", plot);
  plot.caption = "coordinates 1 (across) and 2 (up) of 6";
  EXPECT_EQ(many.pixels, draw_transport(first, first, first, "six", plot).pixels);
  plot.caption = "mine";
  const Image both = draw_transport(six, six, six, "six", plot);
  plot.caption = "mine \u00b7 coordinates 1 (across) and 2 (up) of 6";
  EXPECT_EQ(both.pixels, draw_transport(first, first, first, "six", plot).pixels);
}

TEST(Transport, HasNoPanelForATargetThatIsNotThere) {
  const std::vector<float> values = normal(600, 1, 6);
  for (const std::int64_t d : {1, 2, 3}) {
    const View<const float> rows = rows_of(values, d), none(nullptr, {0, d});
    const Image without = draw_transport(rows, none, rows, "three", kSmall),
                with = draw_transport(rows, rows, rows, "four", kSmall);
    EXPECT_NEAR(with.width - without.width, kSide + (d == 1 ? 84 : 26) * kScale, 2) << d;
    EXPECT_EQ(with.height, without.height);
  }
}

// Where the panels of histograms are: with numbers at the left of each.
Place in_histogram(int panel, double right, double up) {
  return {66 * kScale + panel * (kSide + 84 * kScale) + right * kSide, 104 * kScale + (1 - up) * kSide};
}

TEST(Histograms, HaveBarsAsHighAsTheShares) {
  // Three quarters of the source at 0, one at 1; the target the other way round; the map exchanges the two.
  std::vector<float> source(400), target(400), generated(400);
  for (std::size_t i = 0; i < source.size(); ++i) {
    source[i] = i % 4 == 0 ? 1.0f : 0.0f;
    target[i] = generated[i] = 1 - source[i];
  }
  const Image image = draw_transport(rows_of(source, 1), rows_of(target, 1), rows_of(generated, 1), "line", kSmall);
  const double zero = 0.04 / 1.08, one = 1.04 / 1.08;  // the box is [-0.04, 1.04]
  const auto bar = [&](int panel, double right, double up) {
    return brightness(image, in_histogram(panel, right, up)) > 150;
  };
  for (int panel = 0; panel < 3; ++panel) {
    const double high = panel == 0 ? zero : one, low = panel == 0 ? one : zero;
    EXPECT_TRUE(bar(panel, high, 0.88)) << panel;  // 0.92 of the panel is the highest
    EXPECT_FALSE(bar(panel, high, 0.96)) << panel;
    EXPECT_TRUE(bar(panel, low, 0.28)) << panel;
    EXPECT_FALSE(bar(panel, low, 0.35)) << panel;
    EXPECT_FALSE(bar(panel, 0.5, 0.1)) << panel;
  }
  // The graph: (0, 1) and (1, 0), and the diagonal between.
  EXPECT_TRUE(bar(3, zero, one));
  EXPECT_TRUE(bar(3, one, zero));
  EXPECT_FALSE(bar(3, 0.3, 0.7));
  EXPECT_GT(brightness(image, in_histogram(3, 0.7, 0.7)), 100);
}

TEST(Histograms, CutOffWhatHasCollapsed) {
  const std::vector<float> good = normal(2000, 1, 1), collapsed(2000, 0.01f);
  const Image image = draw_transport(rows_of(good, 1), rows_of(good, 1), rows_of(collapsed, 1), "", kSmall);
  const auto bright = [&](int panel) {
    int count = 0;
    for (int right = 0; right < kSide; ++right)
      for (int up = 0; up < kSide; ++up)
        count += brightness(image, in_histogram(panel, (right + 0.5) / kSide, (up + 0.5) / kSide)) > 150;
    return count;
  };
  EXPECT_GT(bright(0), kSide * kSide / 8);  // not made flat by the one bar
  EXPECT_GT(bright(1), kSide * kSide / 8);
  int cut = 0;  // pixels of the one bar at the panel's upper edge
  for (int right = 0; right < kSide; ++right)
    cut += brightness(image, in_histogram(2, (right + 0.5) / kSide, 0.99)) > 150;
  EXPECT_GT(cut, 1);
  EXPECT_LT(cut, kSide / 8);
}

TEST(Histograms, DrawAnyData) {
  const float huge = std::numeric_limits<float>::max(), infinite = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> sets = {
      {}, {3}, {NAN}, {0, 0}, {huge, -huge}, {infinite, 1, NAN}, {1e-38f, 1e-45f}, normal(300, 1e30f, 4)};
  for (const std::vector<float>& source : sets)
    for (const std::vector<float>& target : sets) {
      const Image image = draw_transport(rows_of(source, 1), rows_of(target, 1), rows_of(source, 1),
                                         std::string(500, 'W'), {.caption = "any", .panel_pixels = 100, .lines = 0});
      EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(image.width * image.height * 3));
    }
}

TEST(Transport, RefusesWhatIsNoPairOfClouds) {
  const std::vector<float> values(12);
  const View<const float> rows = rows_of(values);
  EXPECT_NE(input_error([&] { draw_transport(rows, rows, rows.row_slice(0, 5), ""); }).find("generated"),
            std::string::npos);
  EXPECT_NE(input_error([&] { draw_transport(View<const float>(values.data(), {12}), rows, rows, ""); }).find("source"),
            std::string::npos);
  EXPECT_NE(input_error([&] {
              draw_transport(rows, View<const float>(values.data(), {12, 0}), rows, "");
            }).find("target"),
            std::string::npos);
  EXPECT_NE(input_error([&] { draw_transport(rows, rows, rows, "", {.panel_pixels = 99}); }).find("99"),
            std::string::npos);
}

TEST(ImageGrid, PlacesClampsAndMarks) {
  // Three grey images of 2 x 3 on two columns at scale 4; the gap is 2 screen pixels.
  std::vector<float> images = {-1, 0, 1, -9, 9, 0.5f, NAN, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1};
  const Image sheet = draw_image_grid(rows_of(images, 6), {.shape = {2, 3, 1}, .columns = 2, .scale = 4});
  ASSERT_EQ(sheet.width, 2 * (12 + 2) + 2);
  ASSERT_EQ(sheet.height, 2 * (8 + 2) + 2);
  const auto pixel = [&](int x, int y) {
    const std::uint8_t* p = sheet.pixels.data() + 3 * (y * sheet.width + x);
    return std::vector<int>(p, p + 3);
  };
  const auto grey = [](int v) { return std::vector<int>{v, v, v}; };
  EXPECT_EQ(pixel(2, 2), grey(0));
  EXPECT_EQ(pixel(5, 5), grey(0));
  EXPECT_EQ(pixel(6, 2), grey(128));
  EXPECT_EQ(pixel(13, 5), grey(255));
  EXPECT_EQ(pixel(2, 6), grey(0));    // -9
  EXPECT_EQ(pixel(6, 9), grey(255));  // 9
  EXPECT_EQ(pixel(10, 6), grey(191));
  EXPECT_EQ(pixel(16, 2), (std::vector<int>{255, 0, 200}));  // NaN
  EXPECT_EQ(pixel(20, 2), grey(0));
  EXPECT_EQ(pixel(2, 12), grey(255));     // the third image begins the second row
  EXPECT_EQ(pixel(14, 4), pixel(0, 0));   // gaps
  EXPECT_EQ(pixel(20, 14), pixel(0, 0));  // the place without an image
}

TEST(ImageGrid, TakesColour) {
  const std::vector<float> image = {1, -1, 0, -1, 1, 0};  // red, green, blue of 1 x 2 pixels
  const Image sheet = draw_image_grid(rows_of(image, 6), {.shape = {1, 2, 3}, .scale = 1});
  const std::uint8_t* row = sheet.pixels.data() + 3 * (2 * sheet.width + 2);
  EXPECT_EQ(std::vector<int>(row, row + 6), (std::vector<int>{255, 0, 128, 0, 255, 128}));
}

TEST(ImageGrid, AddsACaptionAboveTheSameSheet) {
  const std::vector<float> images = normal(5 * 64, 1, 8);
  ImageGrid options{.shape = {8, 8, 1}};
  const Image bare = draw_image_grid(rows_of(images, 64), options);
  options.caption = "five samples";
  const Image captioned = draw_image_grid(rows_of(images, 64), options);
  ASSERT_EQ(bare.width, captioned.width);
  ASSERT_GT(captioned.height, bare.height + 10);
  EXPECT_TRUE(std::equal(bare.pixels.rbegin(), bare.pixels.rend(), captioned.pixels.rbegin()));
  EXPECT_EQ(bare.width, 3 * (64 + 2) + 2);  // about square: 3 columns, 2 rows
  EXPECT_EQ(bare.height, 2 * (64 + 2) + 2);
}

TEST(ImageGrid, TakesNoneAndRefusesNonsense) {
  const std::vector<float> images(12);
  const Image none = draw_image_grid(View<const float>(nullptr, {0, 4}), {.shape = {2, 2, 1}});
  EXPECT_GT(encode_png(none).size(), 50u);
  const View<const float> rows = rows_of(images, 4);
  EXPECT_NE(input_error([&] { draw_image_grid(rows, {.shape = {2, 3, 1}}); }).find("[n, 6]"), std::string::npos);
  EXPECT_NE(input_error([&] { draw_image_grid(rows, {.shape = {1, 2, 2}}); }).find("channels"), std::string::npos);
  EXPECT_NE(input_error([&] { draw_image_grid(rows, {.shape = {0, 2, 1}}); }).find("0 x 2"), std::string::npos);
  EXPECT_NE(input_error([&] {
              draw_image_grid(rows, {.shape = {2, 2, 1}, .scale = 100000});
            }).find("sheet"),
            std::string::npos);
  EXPECT_NE(input_error([&] {
              draw_image_grid(rows, {.shape = {2, 2, 1}, .columns = -1});
            }).find("-1"),
            std::string::npos);
}

}  // namespace
}  // namespace otnfm
