// otnfm map: what a model's map looks like. In two dimensions a picture; in any the Jacobian at samples of the source:
// its singular values, and how far the map is from the gradient of a convex function, which the optimal one is.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/generate/generator.h"
#include "engine/generate/model.h"
#include "engine/generate/sampler.h"
#include "engine/io/png.h"
#include "engine/plot/map_plot.h"
#include "layers/maps/flow_map.h"
#include "layers/maps/jacobian.h"
#include "tools/command.h"

namespace otnfm {
namespace {

constexpr std::int64_t kPictureSamples = 4096;

struct MapFlags {
  CommonFlags common;
  std::string model, out;
  double time = 1;
  std::int64_t points = 64;
};

struct Spread {
  double mean = 0, least = INFINITY, largest = -INFINITY;
  void add(double value, std::int64_t n) {
    mean += value / static_cast<double>(n);
    least = std::min(least, value);
    largest = std::max(largest, value);
  }
  nlohmann::json json() const { return {{"mean", mean}, {"min", least}, {"max", largest}}; }
};

struct Findings {
  nlohmann::json json;
  Spread largest, smallest, log_det, asymmetry, negative;
  double folded = 0;
};

struct Convexity {
  double asymmetry, negative_part;
};

/// The optimal map is a convex function's gradient in the coordinates that its cost is taken in.
Convexity convexity_of(const FlowCoordinates& coordinates, float time, View<float> jacobian) {
  for (std::int64_t i = 0; i < jacobian.rows(); ++i)
    for (std::int64_t j = 0; j < jacobian.columns(); ++j)
      jacobian(i, j) = static_cast<float>(jacobian(i, j) / (coordinates.stretch(time, i) * coordinates.entry(j)));
  const JacobianSummary summary = summarize_jacobian(View<const float>(jacobian));
  return {summary.asymmetry, summary.negative_part};
}

Findings look_at_jacobians(const Model& model, Device device, View<const float> x0, float time) {
  const std::int64_t n = x0.rows(), d = x0.columns();
  Jacobian jacobian(*model.flow, device, {}, std::max<std::int64_t>(d, 4096));
  std::vector<float> images(static_cast<std::size_t>(d)), matrix(static_cast<std::size_t>(d * d));
  const std::vector<float> times(1, time);
  const FlowCoordinates& coordinates = model.flow->coordinates;
  Findings found;
  nlohmann::json singular_values = nlohmann::json::array();
  std::vector<double> mean_values(static_cast<std::size_t>(d), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    jacobian({times.data(), {1, 1}}, x0.row_slice(i, 1), {images.data(), {1, d}}, {matrix.data(), {1, d, d}});
    const View<float> raw(matrix.data(), {d, d});
    const JacobianSummary summary = summarize_jacobian(raw);
    const auto [asymmetry, negative_part] = coordinates.identity() ? Convexity{summary.asymmetry, summary.negative_part}
                                                                   : convexity_of(coordinates, time, raw);
    singular_values.push_back(summary.singular_values);
    for (std::size_t k = 0; k < mean_values.size(); ++k)
      mean_values[k] += summary.singular_values[k] / static_cast<double>(n);
    found.largest.add(summary.singular_values.front(), n);
    found.smallest.add(summary.singular_values.back(), n);
    found.log_det.add(summary.log_abs_determinant, n);
    found.asymmetry.add(asymmetry, n);
    found.negative.add(negative_part, n);
    found.folded += summary.keeps_orientation ? 0 : 1 / static_cast<double>(n);
  }
  found.json = {{"points", n},
                {"d", d},
                {"time", time},
                {"singular_values", singular_values},
                {"mean_singular_values", mean_values},
                {"largest_singular_value", found.largest.json()},
                {"smallest_singular_value", found.smallest.json()},
                {"log_abs_det", found.log_det.json()},
                {"folded_share", found.folded},
                {"asymmetry", found.asymmetry.json()},
                {"negative_part", found.negative.json()}};
  return found;
}

void draw(const MapFlags& flags, const Generator& generator, Device device) {
  Flow& flow = *generator.model().flow;
  std::vector<float> values(kPictureSamples * 2), images(values.size());
  const View<float> x0(values.data(), {kPictureSamples, 2}), moved(images.data(), {kPictureSamples, 2});
  generator.noise(flags.common.seed, 0, x0);
  const auto time = static_cast<float>(flags.time);
  const std::vector<float> times(std::max<std::size_t>(MapGrid::kSide * MapGrid::kSide, kPictureSamples), time);
  FlowMap(flow, device)({times.data(), {kPictureSamples, 1}}, x0, moved);

  constexpr std::int64_t kNodes = MapGrid::kSide * MapGrid::kSide;
  std::vector<Point> source;
  source.reserve(kPictureSamples);
  for (std::int64_t i = 0; i < kPictureSamples; ++i) source.push_back({x0(i, 0), x0(i, 1)});
  const MapGrid grid{robust_box(source, {})};
  std::vector<float> node_values(kNodes * 2), node_images(kNodes * 2), jacobians(kNodes * 4);
  const View<float> nodes(node_values.data(), {kNodes, 2}), ends(node_images.data(), {kNodes, 2});
  grid.fill(nodes);
  Jacobian(flow, device)({times.data(), {kNodes, 1}}, nodes, ends, {jacobians.data(), {kNodes, 2, 2}});
  std::vector<double> log_dets(kNodes);
  std::vector<char> folds(kNodes);
  for (std::size_t i = 0; i < log_dets.size(); ++i) {
    const float* j = jacobians.data() + 4 * i;
    const double determinant = static_cast<double>(j[0]) * j[3] - static_cast<double>(j[1]) * j[2];
    log_dets[i] = std::log(std::abs(determinant));
    folds[i] = determinant < 0 ? 1 : 0;
  }
  const nlohmann::json& configuration = generator.model().configuration;
  write_png(flags.out, draw_map(grid, ends, log_dets, folds, moved,
                                {.title = generator.model().title(),
                                 .caption = "family " + configuration["flow"]["family"].get<std::string>(),
                                 .time = flags.time}));
}

void map(const MapFlags& flags) {
  const Device device = flags.common.chosen_device();
  const Generator generator = Generator::load(flags.model, device);
  require_map(generator.model().configuration, "map");
  const std::int64_t d = generator.dimension();
  if (!flags.out.empty() && d != 2)
    throw InputError(
        fmt::format("--out {}: a map of {} dimensions has no picture, one of 2 has; without --out the "
                    "Jacobian is looked at in any number",
                    flags.out, d));
  if (d > 4096) throw InputError(fmt::format("a Jacobian of {} dimensions is too large to look at: 4096 at most", d));
  std::vector<float> values(static_cast<std::size_t>(flags.points * d));
  const View<float> x0(values.data(), {flags.points, d});
  generator.noise(flags.common.seed, 0, x0);
  const Findings found = look_at_jacobians(generator.model(), device, x0, static_cast<float>(flags.time));
  if (!flags.out.empty()) draw(flags, generator, device);
  if (flags.common.json) {
    nlohmann::json result = found.json;
    result["model"] = flags.model;
    result["out"] = flags.out.empty() ? nlohmann::json() : nlohmann::json(flags.out);
    print_json(result);
    return;
  }
  const auto line = [](const char* name, const Spread& spread, const char* what) {
    fmt::print("{:<13} {:.4g}   {:.4g} to {:.4g}   {}\n", name, spread.mean, spread.least, spread.largest, what);
  };
  fmt::print("dF({:.3g}, x)/dx at {} samples of the source: the mean, and the range\n", flags.time, flags.points);
  line("largest", found.largest, "singular value");
  line("smallest", found.smallest, "singular value");
  line("log|det J|", found.log_det, "");
  line("asymmetry", found.asymmetry, "||J - J^T|| / ||J||; 0: a gradient, as the optimal map is");
  line("negative", found.negative, "share of the symmetric part that is negative; 0: of a convex function");
  fmt::print("{:<13} {:.3g}%   of the samples lie where det J < 0\n", "folded", 100 * found.folded);
  if (!flags.out.empty()) fmt::print("picture       {}\n", flags.out);
}

}  // namespace

void add_map(CommandLine& program) {
  Command command = program.add("map", "Look at a model's map: its picture in 2-D, its Jacobian in any");
  auto flags = std::make_shared<MapFlags>();
  command.option("MODEL", flags->model, "model.safetensors").required();
  command.option("--out", flags->out, "FILE.png: displacement, deformed grid and log|det J| of a 2-D model")
      .file({".png"});
  command.option("--time", flags->time, "t of F(t, x)").between(0.0, 1.0);
  command.option("--points", flags->points, "samples of the source where the Jacobian is looked at").between(1, 100000);
  flags->common.add_device(command);
  flags->common.add_threads(command);
  flags->common.add_seed(command);
  flags->common.add_json(command);
  command.run([flags] {
    flags->common.use_threads();
    map(*flags);
  });
}

}  // namespace otnfm
