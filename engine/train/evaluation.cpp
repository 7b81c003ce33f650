#include "engine/train/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/generate/model_file.h"
#include "engine/metrics/collapse.h"
#include "engine/metrics/mmd.h"
#include "engine/metrics/nearest.h"
#include "engine/metrics/summary.h"
#include "engine/metrics/wasserstein.h"
#include "engine/train/coupling.h"
#include "engine/train/random_streams.h"

namespace otnfm {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Draws 2 r and 2 r + 1 belong to repeat r; of a finite set no row is in both where it has enough of them.
void draw_fresh(const Dataset& data, std::uint64_t seed, std::int64_t draw, View<float> out) {
  const std::int64_t n = out.rows();
  DrawKey key{.seed = seed,
              .stream = kEvaluationStream,
              .step = static_cast<std::uint64_t>(draw / 2),
              .first_row = draw % 2 * n};
  if (!data.endless() && data.count() >= 2 * n) return data.draw_distinct(key, out);
  data.draw(key, out);
}

/// What is measured between points of a model that has standardised coordinates: x less the mean over a power of two,
/// so that neither an offset nor a unit costs float32 its digits. Distances times `unit` are those of raw points.
/// `rest` leads on to the model's coordinates, where they differ by more than that.
struct Centred {
  Standardisation move, rest;
  double unit = 1;

  explicit Centred(const Standardisation& model) {
    if (model.identity()) return;
    const auto d = static_cast<double>(model.scale.size());
    double squares = 0;
    for (const float scale : model.scale) squares += static_cast<double>(scale) * scale / d;
    unit = std::exp2(std::round(std::log2(std::sqrt(squares))));
    move = {.shift = model.shift, .scale = std::vector<float>(model.scale.size(), static_cast<float>(unit))};
    if (std::ranges::all_of(model.scale, [&](float scale) { return scale == model.scale.front(); })) return;
    rest = {.shift = std::vector<float>(model.scale.size(), 0.0f), .scale = model.scale};
    for (float& scale : rest.scale) scale = static_cast<float>(scale / unit);
  }
};

double rate_of(GeneratorContext& context, View<float> x0, View<float> x1) {
  const auto sample = [&] {
    context.sample(nullptr, x0, x1);
    context.synchronize();
  };
  sample();
  std::int64_t made = 0;
  const double start = now();
  while (now() - start < 0.2) {
    sample();
    made += x0.rows();
  }
  return static_cast<double>(made) / (now() - start);
}

}  // namespace

nlohmann::json evaluate(const Generator& generator, const Dataset& data, const EvaluationOptions& options) {
  const std::int64_t n = options.samples, d = generator.dimension();
  if (data.dimension() != d)
    throw InputError("the data have " + std::to_string(data.dimension()) + " dimensions, the model " +
                     std::to_string(d));
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  if (n < 1 || n > kMost || options.repeats < 1 || options.repeats > kMost / n)
    throw InputError("eval takes 1 to " + std::to_string(kMost) + " samples over all repeats, not " +
                     std::to_string(options.repeats) + " x " + std::to_string(n));

  std::vector<float> generated_values(options.repeats * n * d), fresh_values(n * d), other_values(n * d);
  const View<float> generated(generated_values.data(), {options.repeats * n, d});
  const View<float> fresh(fresh_values.data(), {n, d}), other(other_values.data(), {n, d});
  GeneratorContext context = generator.prepare(4096, {.threads = 0});
  generator.noise(options.seed, 0, generated);
  context.sample(nullptr, generated, generated);
  context.synchronize();

  const Standardisation& standardisation = generator.model().flow->coordinates.target;
  const Centred centred(standardisation);
  std::vector<double> distance, floor, sliced, discrepancy, standardised_distance, standardised_floor;
  for (std::int64_t r = 0; r < options.repeats; ++r) {
    const View<float> mine = generated.row_slice(r * n, n);
    draw_fresh(data, options.seed, 2 * r, fresh);
    draw_fresh(data, options.seed, 2 * r + 1, other);
    for (const View<float>& rows : {mine, fresh, other}) centred.move.apply(View<const float>(rows), rows);
    distance.push_back(centred.unit * w2(mine, fresh));
    floor.push_back(centred.unit * w2(other, fresh));
    sliced.push_back(centred.unit * sliced_wasserstein(mine, fresh, {.seed = options.seed}));
    discrepancy.push_back(mmd(mine, fresh).squared);
    for (const View<float>& rows : {mine, fresh, other}) centred.rest.apply(View<const float>(rows), rows);
    if (centred.rest.identity()) continue;
    standardised_distance.push_back(w2(mine, fresh));
    standardised_floor.push_back(w2(other, fresh));
  }
  // In the flow's coordinates; where its columns keep their proportions a common factor is left, which cancels.
  const double moved_variance =
      total_variance(data.standardised(centred.rest.identity() ? centred.move : standardisation), options.seed);
  // The unbiased estimate of MMD^2 may fall below 0 where the distributions agree.
  const double mmd_squared = summarize(discrepancy).mean;
  const Summary w2_summary = summarize(distance), floor_summary = summarize(floor);
  nlohmann::json result = {{"n", n},
                           {"repeats", options.repeats},
                           {"d", d},
                           {"w2", w2_summary.mean},
                           {"w2_std", w2_summary.standard_deviation},
                           {"w2_floor", floor_summary.mean},
                           {"w2_floor_std", floor_summary.standard_deviation},
                           {"w2_ratio", w2_summary.mean / floor_summary.mean},
                           {"collapse_rho", covariance_trace(generated) / moved_variance},
                           {"sliced_w2", summarize(sliced).mean},
                           {"mmd", std::sqrt(std::max(0.0, mmd_squared))},
                           {"mmd_squared", mmd_squared},
                           {"nfe", 1}};
  if (!standardised_distance.empty()) {
    const Summary w2_columns = summarize(standardised_distance), floor_columns = summarize(standardised_floor);
    result["w2_standardised"] = w2_columns.mean;
    result["w2_standardised_floor"] = floor_columns.mean;
    result["w2_standardised_ratio"] = w2_columns.mean / floor_columns.mean;
  }
  if (data.has_test_split()) {
    const Dataset test = data.test_split();
    result["nearest_train"] = find_nearest(generated.row_slice(0, n), data.rows()).mean_distance();
    result["nearest_train_test"] =
        find_nearest(test.rows().row_slice(0, std::min(n, test.count())), data.rows()).mean_distance();
  }
  generator.noise(options.seed, 0, other);
  result["samples_per_second"] = rate_of(context, other, fresh);
  return result;
}

}  // namespace otnfm
