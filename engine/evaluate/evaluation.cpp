#include "engine/evaluate/evaluation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/data/random_streams.h"
#include "engine/evaluate/nearest_data.h"
#include "engine/generate/model.h"
#include "engine/metrics/collapse.h"
#include "engine/metrics/frechet.h"
#include "engine/metrics/mmd.h"
#include "engine/metrics/precision_recall.h"
#include "engine/metrics/summary.h"
#include "engine/metrics/wasserstein.h"
#include "kernels/clock.h"
#include "kernels/host/parallel.h"

namespace otnfm {
namespace {

// Above it two draws of the data lie as far apart as either does from blurred data.
constexpr std::int64_t kFewDimensions = 16;
constexpr float kLeastScale = 1e-37f;  // its inverse is finite

/// Draws 2 r and 2 r + 1 belong to repeat r; of a finite set, which has twice as many rows, no row is in both.
void draw_fresh(const Dataset& data, std::uint64_t seed, std::int64_t draw, View<float> out) {
  const std::int64_t n = out.rows();
  DrawKey key{.seed = seed,
              .stream = kEvaluationStream,
              .step = static_cast<std::uint64_t>(draw / 2),
              .first_row = draw % 2 * n};
  if (!data.endless()) return data.draw_distinct(key, out);
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
    // A constant column's scale may be below what float holds of it; its entries are next to 0 for any.
    for (float& scale : rest.scale) scale = std::max(static_cast<float>(scale / unit), kLeastScale);
  }
};

void require_finite(View<const float> samples) {
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < samples.rows(); ++i)
    if (!std::all_of(samples.row(i), samples.row(i) + samples.columns(), [](float x) { return std::isfinite(x); }))
      ++wrong;
  if (wrong > 0)
    throw RunError(std::to_string(wrong) + " of " + std::to_string(samples.rows()) +
                   " samples of the model hold numbers that are not finite: there is nothing to measure");
}

/// Frechet's distance, precision and recall: of samples to fresh data, and as their floor of other data to fresh data.
class FeatureMetrics {
 public:
  FeatureMetrics(std::int64_t n, std::int64_t d)
      : has_frechet_(d <= kMostFrechetDimensions), compared_(std::min(n, most_compared(d))) {}

  /// Distances times `unit` are those that are told.
  void add(View<const float> samples, View<const float> other, View<const float> fresh, double unit) {
    if (has_frechet_) add_frechet(samples, other, fresh, unit * unit);
    if (compared_ <= kNeighbours) return;
    const auto manifold = [&](View<const float> rows) { return Manifold(rows.row_slice(0, compared_), kNeighbours); };
    const Manifold data = manifold(fresh);
    const PrecisionRecall of_samples = precision_recall(manifold(samples), data),
                          of_data = precision_recall(manifold(other), data);
    precision_.push_back(of_samples.precision);
    recall_.push_back(of_samples.recall);
    precision_floor_.push_back(of_data.precision);
    recall_floor_.push_back(of_data.recall);
  }

  void tell(nlohmann::json& result) const {
    tell(result, "frechet", frechet_);
    tell(result, "frechet_floor", frechet_floor_);
    tell(result, "precision", precision_);
    tell(result, "precision_floor", precision_floor_);
    tell(result, "recall", recall_);
    tell(result, "recall_floor", recall_floor_);
    result["precision_recall_n"] = compared_;
  }

 private:
  // Above these they would take most of eval's time: eigenvalues take d^3, not on all threads, and balls n^2 d.
  static constexpr std::int64_t kMostFrechetDimensions = 1024;
  static constexpr double kMostProducts = 0x1p32;
  static constexpr int kNeighbours = 3;

  static std::int64_t most_compared(std::int64_t d) {
    return std::max(kNeighbours + std::int64_t{1},
                    static_cast<std::int64_t>(std::sqrt(kMostProducts / static_cast<double>(d))));
  }

  void add_frechet(View<const float> samples, View<const float> other, View<const float> fresh, double unit_squared) {
    const std::array<View<const float>, 3> sets = {fresh, samples, other};
    std::array<FeatureMoments, 3> moments;
    host::parallel_ranges(3, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto k = static_cast<std::size_t>(begin); k < static_cast<std::size_t>(end); ++k)
        moments[k] = feature_moments(sets[k]);
    });
    std::array<double, 2> distance{};
    host::parallel_ranges(2, 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto k = static_cast<std::size_t>(begin); k < static_cast<std::size_t>(end); ++k)
        distance[k] = unit_squared * frechet_distance(moments[0], moments[k + 1]);
    });
    frechet_.push_back(distance[0]);
    frechet_floor_.push_back(distance[1]);
  }

  static void tell(nlohmann::json& result, const std::string& key, const std::vector<double>& values) {
    result[key] = result[key + "_std"] = nullptr;
    if (values.empty()) return;
    const Summary summary = summarize(values);
    result[key] = summary.mean;
    result[key + "_std"] = summary.standard_deviation;
  }

  bool has_frechet_;
  std::int64_t compared_;
  std::vector<double> frechet_, frechet_floor_, precision_, precision_floor_, recall_, recall_floor_;
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
  const Dataset compared = options.on_test_split ? data.test_split() : data;
  const std::int64_t d = generator.dimension();
  std::int64_t n = options.samples;
  if (data.dimension() != d)
    throw InputError("the data have " + std::to_string(data.dimension()) + " dimensions, the model " +
                     std::to_string(d));
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  if (n < 1 || n > kMost || options.repeats < 1 || options.repeats > kMost / n)
    throw InputError("eval takes 1 to " + std::to_string(kMost) + " samples over all repeats, not " +
                     std::to_string(options.repeats) + " x " + std::to_string(n));

  // Two draws of a finite set share no row: with replacement they would, and the floor would be too low.
  if (!compared.endless() && compared.count() < 2 * n) n = compared.count() / 2;
  if (n < 2)
    throw InputError(options.samples < 2 ? std::string("eval compares draws of at least 2 samples, not of 1")
                                         : compared.name() + " has too few rows, " + std::to_string(compared.count()) +
                                               ": two draws of it that share none, of at least 2 rows, need 4");
  std::vector<float> generated_values(options.repeats * n * d), fresh_values(n * d), other_values(n * d);
  const View<float> generated(generated_values.data(), {options.repeats * n, d});
  const View<float> fresh(fresh_values.data(), {n, d}), other(other_values.data(), {n, d});
  GeneratorContext context = generator.prepare(4096, {.threads = 0});
  generator.noise(options.seed, 0, generated);
  context.sample(nullptr, generated, generated);
  context.synchronize();
  require_finite(generated);

  const Standardisation& standardisation = generator.model().flow->coordinates.target;
  const Centred centred(standardisation);
  const double told_unit = centred.rest.identity() ? centred.unit : 1;
  std::vector<double> distance, floor, sliced, discrepancy, standardised_distance, standardised_floor;
  FeatureMetrics features(n, d);
  for (std::int64_t r = 0; r < options.repeats; ++r) {
    const View<float> mine = generated.row_slice(r * n, n);
    draw_fresh(compared, options.seed, 2 * r, fresh);
    draw_fresh(compared, options.seed, 2 * r + 1, other);
    for (const View<float>& rows : {mine, fresh, other}) centred.move.apply(View<const float>(rows), rows);
    distance.push_back(centred.unit * w2(mine, fresh));
    floor.push_back(centred.unit * w2(other, fresh));
    sliced.push_back(centred.unit * sliced_wasserstein(mine, fresh, {.seed = options.seed}));
    discrepancy.push_back(mmd(mine, fresh).squared);
    for (const View<float>& rows : {mine, fresh, other}) centred.rest.apply(View<const float>(rows), rows);
    features.add(mine, other, fresh, told_unit);
    if (centred.rest.identity()) continue;
    standardised_distance.push_back(w2(mine, fresh));
    standardised_floor.push_back(w2(other, fresh));
  }
  // In the flow's coordinates; where its columns keep their proportions a common factor is left, which cancels.
  const Dataset moved = data.standardised(centred.rest.identity() ? centred.move : standardisation);
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
                           {"collapse_rho", covariance_trace(generated) / total_variance(moved, options.seed)},
                           {"sliced_w2", summarize(sliced).mean},
                           {"mmd", std::sqrt(std::max(0.0, mmd_squared))},
                           {"mmd_squared", mmd_squared},
                           {"nfe", context.nfe()}};
  features.tell(result);
  if (!standardised_distance.empty()) {
    const Summary w2_columns = summarize(standardised_distance), floor_columns = summarize(standardised_floor);
    result["w2_standardised"] = w2_columns.mean;
    result["w2_standardised_floor"] = floor_columns.mean;
    result["w2_standardised_ratio"] = w2_columns.mean / floor_columns.mean;
  }
  const bool high = d > kFewDimensions;
  if (data.has_test_split() || (high && !data.endless()))
    add_nearest(result, generated.row_slice(0, n), moved, options.seed, told_unit);
  result["w2_ratio_tells"] = !high;
  generator.noise(options.seed, 0, other);
  result["samples_per_second"] = rate_of(context, other, fresh);
  return result;
}

}  // namespace otnfm
