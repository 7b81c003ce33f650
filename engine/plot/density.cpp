#include "engine/plot/density.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace otnfm {

namespace {

constexpr int kCells = 256;

// One axis of the separable blur; what leaves the grid is lost. Most cells are empty: each full one is spread, which
// costs less than gathering at all.
std::vector<float> blur(const std::vector<float>& grid, const std::vector<float>& kernel, std::ptrdiff_t step,
                        std::ptrdiff_t across) {
  const int reach = static_cast<int>(kernel.size()) / 2;
  std::vector<float> result(grid.size());
  for (int line = 0; line < kCells; ++line)
    for (int i = 0; i < kCells; ++i) {
      const float value = grid[static_cast<std::size_t>(line * across + i * step)];
      if (value == 0) continue;
      for (int k = std::max(-reach, -i); k <= std::min(reach, kCells - 1 - i); ++k)
        result[static_cast<std::size_t>(line * across + (i + k) * step)] +=
            kernel[static_cast<std::size_t>(k + reach)] * value;
    }
  return result;
}

}  // namespace

std::vector<float> relative_density(const std::vector<Point>& points, const Box& box, double bandwidth) {
  const auto cell = [&](double value, double center, double half) {
    return std::clamp(static_cast<int>((value - center + half) / (2 * half) * kCells), 0, kCells - 1);
  };
  const auto index = [&](Point p) {
    return static_cast<std::size_t>(cell(p.y, box.center.y, box.half_height()) * kCells +
                                    cell(p.x, box.center.x, box.half));
  };
  std::vector<float> grid(kCells * kCells);
  for (const Point& p : points)
    if (box.contains(p)) grid[index(p)] += 1;

  const double deviation = bandwidth * kCells;
  const int reach = static_cast<int>(std::ceil(3 * deviation));
  std::vector<float> kernel;
  for (int k = -reach; k <= reach; ++k)
    kernel.push_back(static_cast<float>(std::exp(-0.5 * k * k / (deviation * deviation))));
  grid = blur(blur(grid, kernel, 1, kCells), kernel, kCells, 1);

  std::vector<float> density(points.size());
  for (std::size_t i = 0; i < points.size(); ++i)
    if (box.contains(points[i])) density[i] = grid[index(points[i])] / static_cast<float>(points.size());
  return density;
}

}  // namespace otnfm
