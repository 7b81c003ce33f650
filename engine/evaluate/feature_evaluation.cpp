#include "engine/evaluate/feature_evaluation.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/data/random_streams.h"
#include "engine/data/source.h"
#include "engine/evaluate/nearest_data.h"
#include "engine/generate/model.h"
#include "engine/metrics/collapse.h"
#include "engine/metrics/frechet.h"
#include "engine/metrics/kernel_distance.h"
#include "engine/metrics/precision_recall.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

/// Features of a set of n rows.
struct FeatureSet {
  std::vector<float> values;
  std::int64_t width = 0;
  View<const float> view() const { return {values.data(), {static_cast<std::int64_t>(values.size()) / width, width}}; }
};

class FeatureComparison {
 public:
  FeatureComparison(FeatureSet data, std::uint64_t seed)
      : data_(std::move(data)), moments_(feature_moments(data_.view())), manifold_(data_.view()), seed_(seed) {}

  nlohmann::json operator()(const FeatureSet& other) const {
    const View<const float> rows = other.view();
    const KernelDistance kid = kernel_distance(
        rows, data_.view(),
        {.size = std::min<std::int64_t>(1000, std::max<std::int64_t>(2, rows.rows() / 2)), .seed = seed_});
    const PrecisionRecall shares = precision_recall(Manifold(rows), manifold_);
    return {{"n", rows.rows()},
            {"frechet", frechet_distance(feature_moments(rows), moments_)},
            {"kid", kid.mean},
            {"kid_std", kid.standard_deviation},
            {"precision", shares.precision},
            {"recall", shares.recall}};
  }

 private:
  FeatureSet data_;
  FeatureMoments moments_;
  Manifold manifold_;
  std::uint64_t seed_;
};

}  // namespace

nlohmann::json evaluate_features(const Generator& generator, const Dataset& data, const LoadedFeatures& features,
                                 const FeatureEvaluationOptions& options) {
  const FeatureNetwork& network = *features.network;
  const std::int64_t d = generator.dimension();
  if (network.dimension() != d || data.dimension() != d)
    throw InputError("the features are of images of " + std::to_string(network.dimension()) +
                     " numbers, the model's have " + std::to_string(d) + ", the data's " +
                     std::to_string(data.dimension()));
  if (data.endless()) throw InputError("features are of images, and " + data.name() + " is none");
  // Without a test split the floor takes its rows from the same set.
  const std::int64_t at_hand = data.has_test_split() ? data.count() : data.count() / 2;
  const std::int64_t n = std::min(options.samples, at_hand);
  if (n < 5) throw InputError("features of 5 rows at least can be compared, and here are " + std::to_string(n));
  FeatureExtractor extract(network);
  std::vector<float> rows(static_cast<std::size_t>(n * d));
  const View<float> drawn(rows.data(), {n, d});
  const auto features_of = [&](View<const float> of) { return FeatureSet{extract(of), network.feature_count()}; };
  const DrawKey key{.seed = options.seed, .stream = kEvaluationStream};
  data.draw_distinct(key, drawn);
  const FeatureComparison compare(features_of(drawn), options.seed);

  nlohmann::json result = {{"n_data", n},
                           {"features", network.feature_count()},
                           {"features_of", features.origin.data},
                           {"features_seed", features.origin.seed},
                           {"accuracy", features.origin.accuracy}};
  GeneratorContext context = generator.prepare(std::min<std::int64_t>(n, 4096), {.threads = 0});
  generator.noise(options.seed, 0, drawn);
  context.sample(nullptr, View<const float>(drawn), drawn);
  context.synchronize();
  if (!std::all_of(rows.begin(), rows.end(), [](float x) { return std::isfinite(x); }))
    throw RunError("samples of the model hold numbers that are not finite: there is nothing to measure");
  result["samples"] = compare(features_of(drawn));
  result["nfe"] = context.nfe();
  result["collapse_rho"] = covariance_trace(View<const float>(drawn)) / total_variance(data, options.seed);
  add_nearest(result, View<const float>(drawn), data, options.seed, 1);

  const Dataset other = data.has_test_split() ? data.test_split() : data;
  const std::int64_t beside = std::min(n, data.has_test_split() ? other.count() : n);
  const View<float> of_floor(rows.data(), {beside, d});
  other.draw_distinct(data.has_test_split() ? key : key.at_row(n), of_floor);
  result["floor"] = compare(features_of(of_floor));

  const Source gaussian = open_source(NamedSource("gaussian-fit"), data);
  gaussian.draw({.seed = options.seed, .stream = kEvaluationStream, .step = 1}, drawn);
  result["gaussian"] = compare(features_of(drawn));
  return result;
}

}  // namespace otnfm
