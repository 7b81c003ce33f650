#include "engine/train/preview.h"

#include "engine/io/image_grid.h"
#include "engine/io/png.h"
#include "engine/io/scatter.h"
#include "engine/metrics/collapse.h"
#include "engine/train/random_streams.h"

namespace otnfm {

double write_preview(const std::filesystem::path& path, Generator& generator, const Dataset& data, std::uint64_t seed,
                     const std::string& title) {
  const std::int64_t n = 4096, d = generator.dimension();
  std::vector<float> noise(n * d), samples(n * d);
  const View<float> x0(noise.data(), {n, d}), x1(samples.data(), {n, d});
  generator.noise(seed, 0, x0);
  generator.map(x0, x1);
  if (data.is_images()) {
    const ImageShape shape = data.image_shape();
    ImageGrid grid{.channels = static_cast<int>(shape.channels),
                   .height = static_cast<int>(shape.height),
                   .width = static_cast<int>(shape.width)};
    grid.columns = 10;
    grid.caption = title;
    write_png(path, draw_image_grid(x1.row_slice(0, 100), grid));
  } else {
    std::vector<float> target(n * d);
    const View<float> fresh(target.data(), {n, d});
    data.draw({.seed = seed, .stream = kPreviewStream}, fresh);
    write_png(path, draw_transport(x0, fresh, x1, title));
  }
  return covariance_trace(x1);
}

}  // namespace otnfm
