// otnfm sample: draws from a trained model.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <new>

#include "engine/data/random_streams.h"
#include "engine/generate/generator.h"
#include "engine/generate/model.h"
#include "engine/io/array_file.h"
#include "engine/io/png.h"
#include "engine/plot/image_grid.h"
#include "engine/plot/scatter.h"
#include "tools/command.h"
#include "tools/rows.h"
#include "tools/trajectory.h"

namespace otnfm {
namespace {

struct SampleFlags {
  SamplerFlags sampler;
  CommonFlags common;
  std::string model, data, out;
  std::int64_t n = 0, trajectory = 0;
};

/// Draws of what the model learnt, for the eye to compare with; none where the data are not there any more.
std::vector<float> target_points(const Generator& generator, const SampleFlags& flags) {
  constexpr std::int64_t kPoints = 4096;
  const std::string spec = flags.data.empty() ? generator.model().configuration["data"].get<std::string>() : flags.data;
  try {
    const Dataset data = open_dataset(spec);
    require_dimension(data, generator.dimension());
    std::vector<float> values(static_cast<std::size_t>(kPoints * data.dimension()));
    data.draw({.seed = flags.common.seed, .stream = kPreviewStream}, {values.data(), {kPoints, data.dimension()}});
    return values;
  } catch (const InputError& error) {
    if (!flags.data.empty()) throw;
    fmt::print(stderr, "otnfm: note: the picture has no target: {} (--data names it)\n", error.what());
    return {};
  }
}

void write_picture(const SampleFlags& flags, const Generator& generator, View<const float> x0, View<const float> x1) {
  const Shape shape = generator.model().sample_shape();
  if (!is_image(shape)) {
    const std::vector<float> target = target_points(generator, flags);
    const std::int64_t d = generator.dimension(), count = static_cast<std::int64_t>(target.size()) / d;
    write_png(flags.out, draw_transport(x0, {target.data(), {count, d}}, x1, generator.model().title()));
    return;
  }
  write_png(flags.out, draw_image_grid(x1, {.shape = shape}));
}

void sample(const SampleFlags& flags) {
  const std::string extension = std::filesystem::path(flags.out).extension();
  if (flags.trajectory != 0 && extension != ".npy" && extension != ".png")
    throw InputError("--out " + flags.out + ": --trajectory writes FILE.npy and FILE.png");
  const Generator generator =
      Generator::load(flags.model, flags.common.chosen_device(), {.choice = flags.sampler.choice});
  const std::int64_t d = generator.dimension();
  if (flags.trajectory != 0) {
    const std::string stem = flags.out.substr(0, flags.out.size() - extension.size());
    const Trajectory files = write_trajectory(generator, flags.common.chosen_device(), flags.trajectory, flags.n,
                                              flags.common.seed, flags.sampler.choice, stem);
    if (flags.common.json)
      print_json({{"n", flags.n},
                  {"d", d},
                  {"times", flags.trajectory},
                  {"nfe", files.nfe},
                  {"out", files.points},
                  {"picture", files.picture}});
    else
      fmt::print("{} samples at {} times from 0 to 1: {}, the paths: {}\n", flags.n, flags.trajectory, files.points,
                 files.picture);
    return;
  }
  if (flags.n > std::numeric_limits<std::int64_t>::max() / (8 * d))
    throw InputError("-n " + std::to_string(flags.n) + ": too many samples for memory");
  std::vector<float> noise, samples;
  try {
    noise.resize(flags.n * d);
    samples.resize(flags.n * d);
  } catch (const std::bad_alloc&) {
    throw RunError(fmt::format("out of memory: {} bytes for {} samples of {} numbers and their noise",
                               2 * sizeof(float) * static_cast<std::size_t>(flags.n * d), flags.n, d));
  }
  const View<float> x0(noise.data(), {flags.n, d}), x1(samples.data(), {flags.n, d});
  generator.noise(flags.common.seed, 0, x0);
  GeneratorContext context = generator.prepare(std::clamp<std::int64_t>(flags.n, 1, 65536), {.threads = 0});
  const auto start = std::chrono::steady_clock::now();
  context.sample(nullptr, x0, x1);
  context.synchronize();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (extension == ".png")
    write_picture(flags, generator, x0, x1);
  else
    write_array(flags.out, View<const float>(x1));
  const auto wrong = std::ranges::count_if(samples, [](float value) { return !std::isfinite(value); });
  if (wrong > 0)
    fmt::print(stderr, "otnfm: {} of the {} numbers sampled are not finite: the model, or its training, is broken\n",
               wrong, samples.size());
  const double rate = seconds > 0 ? static_cast<double>(flags.n) / seconds : 0;
  if (flags.common.json)
    print_json({{"n", flags.n},
                {"d", d},
                {"out", flags.out},
                {"not_finite", wrong},
                {"nfe", context.nfe()},
                {"seconds", seconds},
                {"samples_per_second", rate}});
  else
    fmt::print("{} samples of {} numbers in {:.3g} s ({:.3g}/s, {} each): {}\n", flags.n, d, seconds, rate,
               evaluations_text(context.nfe()), flags.out);
}

}  // namespace

void add_sample(CommandLine& program) {
  Command command = program.add("sample", "Draw samples from a model");
  auto flags = std::make_shared<SampleFlags>();
  command.option("MODEL", flags->model, "model.safetensors").required();
  command.option("-n", flags->n, "how many").required().at_least(0);
  command.option("--out", flags->out, "FILE.npy or FILE.csv ([n, d]), or FILE.png")
      .required()
      .file({".npy", ".csv", ".png"});
  command.option("--data", flags->data, "the target that FILE.png shows; the model's own data unless told");
  command.option("--trajectory", flags->trajectory,
                 "K: the samples at K times on their way, [K, n, d] in FILE.npy, and the paths in FILE.png");
  flags->sampler.add(command);
  flags->common.add_device(command);
  flags->common.add_threads(command);
  flags->common.add_seed(command);
  flags->common.add_json(command);
  command.run([flags] {
    flags->common.use_threads();
    sample(*flags);
  });
}

}  // namespace otnfm
