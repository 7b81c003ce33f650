#include "engine/evaluate/nearest_data.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/data/random_streams.h"
#include "engine/metrics/nearest.h"

namespace otnfm {

void add_nearest(nlohmann::json& result, View<const float> samples, const Dataset& data, std::uint64_t seed,
                 double unit) {
  const std::int64_t n = samples.rows(), d = samples.columns();
  double of_samples = 0, of_data = 0;
  if (data.has_test_split()) {
    const Dataset test = data.test_split();
    std::vector<float> values(static_cast<std::size_t>(std::min(n, test.count()) * d));
    const View<float> beside(values.data(), {std::min(n, test.count()), d});
    test.copy_rows(0, beside);
    const FloatRows rows = data.float_rows();
    of_samples = find_nearest(samples, rows.view()).mean_distance();
    of_data = find_nearest(beside, rows.view()).mean_distance();
  } else {
    const std::int64_t count = data.count(), part = std::min(n, count / 5);
    if (part < 1) return;
    std::vector<float> values(static_cast<std::size_t>(count * d));
    const View<float> shuffled(values.data(), {count, d});
    data.draw_distinct({.seed = seed, .stream = kEvaluationStream}, shuffled);
    const View<const float> all = shuffled, rest = all.row_slice(part, count - part);
    of_samples = find_nearest(samples, rest).mean_distance();
    of_data = find_nearest(all.row_slice(0, part), rest).mean_distance();
  }
  result["nearest_train"] = unit * of_samples;
  result["nearest_train_test"] = unit * of_data;
  result["nearest_train_ratio"] = of_samples / of_data;
}

}  // namespace otnfm
