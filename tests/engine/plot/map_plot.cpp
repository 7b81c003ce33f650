// Pictures of maps and paths: something is drawn where it must be, for any numbers, and wrong shapes are refused.
#include "engine/plot/map_plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "kernels/error.h"

namespace otnfm {
namespace {

constexpr std::int64_t kNodes = MapGrid::kSide * MapGrid::kSide;

std::size_t colors(const Image& image) {
  std::set<std::vector<std::uint8_t>> seen;
  for (std::size_t i = 0; i + 2 < image.pixels.size(); i += 3)
    seen.insert({image.pixels[i], image.pixels[i + 1], image.pixels[i + 2]});
  return seen.size();
}

bool has_color(const Image& image, std::vector<int> rgb) {
  for (std::size_t i = 0; i + 2 < image.pixels.size(); i += 3)
    if (image.pixels[i] == rgb[0] && image.pixels[i + 1] == rgb[1] && image.pixels[i + 2] == rgb[2]) return true;
  return false;
}

struct Map {
  MapGrid grid{Box{{0, 0}, 2}};
  std::vector<float> nodes = std::vector<float>(kNodes * 2), points = std::vector<float>(200);
  std::vector<double> log_dets = std::vector<double>(kNodes, 0.3);
  std::vector<char> folds = std::vector<char>(kNodes, 0);

  Map() {
    grid.fill({nodes.data(), {kNodes, 2}});
    for (std::size_t i = 0; i < points.size(); ++i) points[i] = std::sin(static_cast<float>(i));
  }
  Image draw(int pixels = 120) const {
    return draw_map(grid, {nodes.data(), {kNodes, 2}}, log_dets, folds, {points.data(), {100, 2}},
                    {.title = "a map", .panel_pixels = pixels});
  }
};

TEST(MapPlot, FillsTheBox) {
  const Map map;
  EXPECT_EQ(map.nodes[0], -2);
  EXPECT_EQ(map.nodes[1], -2);
  EXPECT_EQ(map.nodes[2 * (MapGrid::kSide - 1)], 2);
  EXPECT_EQ(map.nodes[2 * kNodes - 1], 2);
}

TEST(MapPlot, DrawsAnyMap) {
  Map map;
  const Image identity = map.draw();
  EXPECT_GT(colors(identity), 50u);
  EXPECT_FALSE(has_color(identity, {0xff, 0x2f, 0xd0}));
  for (std::size_t i = 0; i < 2000; ++i) map.folds[i] = 1;
  EXPECT_TRUE(has_color(map.draw(), {0xff, 0x2f, 0xd0}));
  for (std::size_t i = 0; i < map.nodes.size(); i += 3) map.nodes[i] = i % 2 ? NAN : 1e38f;
  for (std::size_t i = 0; i < map.log_dets.size(); i += 2) map.log_dets[i] = i % 4 ? NAN : -INFINITY;
  map.points[7] = INFINITY;
  EXPECT_GT(colors(map.draw()), 50u);
}

// The middle panel has a range of its own.
TEST(MapPlot, LabelsTheHeightsOfEveryPanel) {
  constexpr int kPixels = 440;
  const Image image = Map().draw(kPixels);
  for (int panel = 0; panel < 3; ++panel) {
    const int right = 66 + panel * (kPixels + 84) - 4;
    int ink = 0;
    for (int y = 104; y < 104 + kPixels; ++y)
      for (int x = right - 50; x < right; ++x) ink += image.pixels[3 * (y * image.width + x)] < 0xb0;
    EXPECT_GT(ink, 100) << panel;
  }
}

TEST(MapPlot, RefusesWrongShapes) {
  Map map;
  EXPECT_THROW(map.draw(20), InputError);
  map.folds.pop_back();
  EXPECT_THROW(map.draw(), InputError);
  map.folds.push_back(0);
  EXPECT_THROW(draw_map(map.grid, {map.nodes.data(), {kNodes - 1, 2}}, map.log_dets, map.folds,
                        {map.points.data(), {100, 2}}, {}),
               InputError);
}

TEST(PathPlot, DrawsAnyDimension) {
  for (const std::int64_t d : {1, 2, 5}) {
    std::vector<float> values(static_cast<std::size_t>(7 * 33 * d));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(3.0f * static_cast<float>(i));
    EXPECT_GT(colors(draw_paths({values.data(), {7, 33, d}}, "paths", 120)), 50u);
    values[5] = NAN;
    EXPECT_GT(colors(draw_paths({values.data(), {7, 33, d}}, "paths", 120)), 50u);
  }
  // Of more than two coordinates two are shown, and a line says which.
  std::vector<float> values(2 * 3 * 5, 0.5f);
  EXPECT_GT(draw_paths({values.data(), {2, 3, 5}}, "five", 120).height,
            draw_paths({values.data(), {2, 3, 2}}, "two", 120).height);
  float value[2] = {0, 1};
  EXPECT_NO_THROW(draw_paths({value, {2, 1, 1}}, ""));
  EXPECT_THROW(draw_paths({value, {1, 2, 1}}, ""), InputError);
  EXPECT_THROW(draw_paths({value, {2, 1}}, ""), InputError);
}

}  // namespace
}  // namespace otnfm
