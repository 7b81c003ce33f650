// What `otnfm eval` says of a model: how far its samples are from the data, beside how far the data are from
// themselves.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "engine/data/dataset.h"
#include "engine/generate/generator.h"

namespace otnfm {

struct EvaluationOptions {
  std::int64_t samples = 4096;
  std::int64_t repeats = 4;
  std::uint64_t seed = 0;
  bool on_test_split = false;  ///< fresh data are those of the data's test split, not its (training) rows
};

/// {"w2", "w2_std", "w2_floor", "w2_floor_std", "w2_ratio", "collapse_rho", "sliced_w2", "mmd", "nfe",
/// "samples_per_second", ...}. w2 is the root of the exact mean squared-Euclidean assignment cost between fresh samples
/// and fresh data, w2_floor the same between two fresh draws of the data, of a finite set without a common row, so that
/// "n" is at most half of its rows; both are means over the repeats, w2_ratio is the ratio of the means. All of it in
/// the data's own coordinates; of a model whose columns were standardised each by itself, "w2_standardised",
/// "w2_standardised_floor" and "..._ratio" are the same in its coordinates, as collapse_rho always is.
///
/// Above 16 dimensions w2_ratio is near 1 for any samples of the data's spread, and "w2_ratio_tells" is false. What
/// tells there, and wherever there is a test split, is "nearest_train", the mean distance of a sample to its nearest
/// training row, over "nearest_train_test", that of a test row (without a test split: of a training row to the others),
/// which is "nearest_train_ratio": above 1 blur or other pictures, far below 1 rows learnt by heart. In the model's
/// coordinates where its columns were standardised each by itself.
///
/// "frechet" is the squared Frechet distance of the normal distributions fitted to samples and data: means and
/// covariances alone, null above 1024 dimensions. "precision" is the share of samples within the data's manifold (balls
/// to each point's third neighbour), "recall" the share of data within the samples', of the first "precision_recall_n"
/// rows of each draw (n^2 d is at most 2^32; null below 4 rows). Each has its "..._std" and, between the draws of
/// w2_floor, its "..._floor" and "..._floor_std"; a model as good as data has the floor's precision and recall, which
/// are below 1. In the coordinates of nearest_train.
///
/// InputError where the data do not have the model's dimension; RunError where samples are not finite.
nlohmann::json evaluate(const Generator& generator, const Dataset& data, const EvaluationOptions& options);

}  // namespace otnfm
