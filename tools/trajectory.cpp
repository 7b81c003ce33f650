#include "tools/trajectory.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/generate/model.h"
#include "engine/generate/sampled_states.h"
#include "engine/generate/sampler.h"
#include "engine/io/npy.h"
#include "engine/io/png.h"
#include "engine/plot/image_grid.h"
#include "engine/plot/map_plot.h"

namespace otnfm {
namespace {

constexpr std::int64_t kNumbersAtOnce = std::int64_t{1} << 22;  // of the states of a batch

}  // namespace

Trajectory write_trajectory(const Generator& generator, Device device, std::int64_t K, std::int64_t n,
                            std::uint64_t seed, const SamplerChoice& choice, const std::string& stem) {
  const std::int64_t d = generator.dimension();
  if (K < 2) throw InputError(fmt::format("--trajectory {}: at least 2 times, the first is 0, the last 1", K));
  if (n < 1) throw InputError(fmt::format("-n {}: a trajectory needs a sample", n));
  if (n > (std::int64_t{1} << 31) / d || K > (std::int64_t{1} << 31) / (n * d))
    throw InputError(fmt::format("--trajectory {} of {} samples: too many numbers for memory", K, n));
  std::vector<float> values(static_cast<std::size_t>(K * n * d));
  const View<float> all(values.data(), {K, n, d}), x0(values.data(), {n, d});  // F(0, x0) = x0
  generator.noise(seed, 0, x0);
  const std::shared_ptr<const Sampler> path = make_sampler(generator.model().configuration, choice, K);
  SampledStates states(*generator.model().flow, *path, device,
                       std::clamp<std::int64_t>(kNumbersAtOnce / (K * d), 1, n));
  states(x0, {values.data() + n * d, {K - 1, n, d}});
  const Trajectory files{stem + ".npy", stem + ".png", states.nfe()};
  write_npy(files.points, View<const float>(all));

  const Shape shape = generator.model().sample_shape();
  if (!is_image(shape)) {
    write_png(files.picture, draw_paths(all, generator.model().title()));
    return files;
  }
  const std::int64_t rows = std::min<std::int64_t>(n, 12);
  std::vector<float> pictures;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t k = 0; k < K; ++k) {
      const float* picture = values.data() + (k * n + i) * d;
      pictures.insert(pictures.end(), picture, picture + d);
    }
  write_png(files.picture, draw_image_grid({pictures.data(), {rows * K, d}},
                                           {.shape = shape,
                                            .columns = static_cast<int>(std::min<std::int64_t>(K, 100)),
                                            .caption = "F(t, x0), t from 0 to 1"}));
  return files;
}

}  // namespace otnfm
