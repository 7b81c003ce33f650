#include "engine/train/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>

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

  std::vector<double> distance, floor, sliced, discrepancy;
  for (std::int64_t r = 0; r < options.repeats; ++r) {
    const View<float> mine = generated.row_slice(r * n, n);
    draw_fresh(data, options.seed, 2 * r, fresh);
    draw_fresh(data, options.seed, 2 * r + 1, other);
    distance.push_back(w2(mine, fresh));
    floor.push_back(w2(other, fresh));
    sliced.push_back(sliced_wasserstein(mine, fresh, {.seed = options.seed}));
    discrepancy.push_back(mmd(mine, fresh).squared);
  }
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
                           {"collapse_rho", covariance_trace(generated) / total_variance(data, options.seed)},
                           {"sliced_w2", summarize(sliced).mean},
                           {"mmd", std::sqrt(std::max(0.0, mmd_squared))},
                           {"mmd_squared", mmd_squared},
                           {"nfe", 1}};
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
