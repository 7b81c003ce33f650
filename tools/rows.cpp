#include "tools/rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/data/random_streams.h"
#include "kernels/error.h"

namespace otnfm {

void require_dimension(const Dataset& data, std::int64_t model_dimension) {
  if (data.dimension() != model_dimension)
    throw InputError(
        fmt::format("the data {} have {} dimensions, the model {}", data.name(), data.dimension(), model_dimension));
}

std::vector<float> rows_in_order(const Dataset& data, std::int64_t most, std::uint64_t seed) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  const Dataset part = data.has_test_split() ? data.test_split() : data;
  const std::int64_t n = part.endless() ? most : std::min(most, part.count()), d = part.dimension();
  if (n > kMost / d) throw InputError(fmt::format("-n {}: too many rows for memory", most));
  std::vector<float> values(static_cast<std::size_t>(n * d));
  if (part.endless())
    part.draw({.seed = seed, .stream = kEvaluationStream}, {values.data(), {n, d}});
  else
    part.copy_rows(0, {values.data(), {n, d}});
  return values;
}

}  // namespace otnfm
