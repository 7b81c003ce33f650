#include "engine/core/ops.h"

#include "kernels/gather.h"

namespace otnfm {
Tensor uniform(Tape& tape, const Shape& shape, const RandomKey& key, float low, float high) {
  Tensor y = tape.make(shape);
  tape.record(otnfm::uniform, Uniform{.y = y.view(), .key = key, .low = low, .high = high});
  return y;
}

Tensor normal(Tape& tape, const Shape& shape, const RandomKey& key, float mean, float standard_deviation) {
  Tensor y = tape.make(shape);
  tape.record(otnfm::normal, Normal{.y = y.view(), .key = key, .mean = mean, .standard_deviation = standard_deviation});
  return y;
}

Tensor random_rows(Tape& tape, Tensor x, std::int64_t B, const RandomKey& key) {
  Tensor index = tape.make({B}, DType::int64), y = tape.make({B, x.columns()});
  tape.record(random_indices, RandomIndices{.index = index.view<std::int64_t>(), .key = key, .bound = x.rows()});
  tape.record(gather_rows, GatherRows{.x = x.view(), .index = index.view<std::int64_t>(), .y = y.view()});
  return y;
}

}  // namespace otnfm
