#include "engine/evaluate/preview.h"

#include <algorithm>

#include "engine/data/random_streams.h"
#include "engine/generate/model.h"
#include "engine/io/png.h"
#include "engine/metrics/collapse.h"
#include "engine/metrics/nearest.h"
#include "engine/plot/image_grid.h"
#include "engine/plot/scatter.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

constexpr std::int64_t kPoints = 4096, kImages = 100;
constexpr int kImageColumns = 10;

ImageGrid grid_of(const Dataset& data, int columns, const std::string& caption) {
  return {.shape = data.sample_shape(), .columns = columns, .caption = caption};
}

}  // namespace

double write_preview(const std::filesystem::path& path, const Generator& generator, const Dataset& data,
                     std::uint64_t seed, const std::string& title) {
  const std::int64_t n = data.is_images() ? kImages : kPoints, d = generator.dimension();
  std::vector<float> noise(n * d), samples(n * d);
  const View<float> x0(noise.data(), {n, d}), x1(samples.data(), {n, d});
  generator.noise(seed, 0, x0);
  GeneratorContext context = generator.prepare(n, {.threads = 0});
  context.sample(nullptr, x0, x1);
  context.synchronize();
  if (data.is_images()) {
    write_png(path, draw_image_grid(x1, grid_of(data, kImageColumns, title)));
  } else {
    std::vector<float> target(n * d);
    const View<float> fresh(target.data(), {n, d});
    data.draw({.seed = seed, .stream = kPreviewStream}, fresh);
    write_png(path, draw_transport(x0, fresh, x1, title));
  }
  generator.model().flow->coordinates.target.apply(View<const float>(x1), x1);
  return covariance_trace(x1);
}

void write_neighbours(const std::filesystem::path& path, const Generator& generator, const Dataset& data,
                      std::uint64_t seed, std::int64_t count) {
  if (!data.is_images()) throw InputError("neighbours are drawn of images, which " + data.name() + " does not hold");
  const std::int64_t d = generator.dimension();
  std::vector<float> values(2 * count * d);
  const View<float> both(values.data(), {2 * count, d}), samples = both.row_slice(0, count);
  std::vector<float> noise(count * d);
  const View<float> x0(noise.data(), {count, d});
  generator.noise(seed, 0, x0);
  GeneratorContext context = generator.prepare(count);
  context.sample(nullptr, x0, samples);
  context.synchronize();
  const FloatRows rows = data.float_rows();
  const Nearest nearest = find_nearest(samples, rows.view());
  for (std::int64_t i = 0; i < count; ++i) std::copy_n(rows.view().row(nearest.index[i]), d, both.row(count + i));
  write_png(path, draw_image_grid(both, grid_of(data, static_cast<int>(count),
                                                "samples, and below each its nearest training image")));
}

}  // namespace otnfm
