// Random numbers by Philox 4x32-10 (kernels/device/philox.h): the same ones, bit for bit, on every backend and for any
// launch shape or split into batches. Number (i, j) of a matrix has the index (first_row + i) * columns + j in its
// stream.
#pragma once

#include "kernels/device/philox.h"
#include "kernels/op.h"

namespace otnfm {

/// Which sequence of numbers. Two random ops of one program have two streams.
struct RandomKey {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  View<const std::uint64_t> step = {};  ///< [1] on the device: other numbers at every step; no memory: step 0
  std::int64_t first_row = 0;
};

/// Read where the op runs.
OTNFM_HD std::uint64_t step_of(const RandomKey& key) {
  return key.step.data ? key.step.data[0] : 0;
}

/// y uniform on [low, high)
struct Uniform {
  static constexpr const char* kName = "uniform";
  View<float> y;  // [B, d]
  RandomKey key;
  float low = 0, high = 1;
};
OTNFM_DECLARE_OP(uniform, Uniform);

/// y ~ N(mean, standard_deviation^2)
struct Normal {
  static constexpr const char* kName = "normal";
  View<float> y;  // [B, d]
  RandomKey key;
  float mean = 0, standard_deviation = 1;
};
OTNFM_DECLARE_OP(normal, Normal);

/// index uniform on {0 .. bound - 1}, drawn with replacement
struct RandomIndices {
  static constexpr const char* kName = "random_indices";
  View<std::int64_t> index;  // [B]
  RandomKey key;
  std::int64_t bound;  // 1 .. 2^32 - 1
};
OTNFM_DECLARE_OP(random_indices, RandomIndices);

}  // namespace otnfm
