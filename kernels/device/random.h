// How the words of a Philox block (kernels/device/philox.h) become the numbers of the random ops: once for every
// backend, in arithmetic that rounds the same everywhere.
#pragma once

#include "kernels/device/philox.h"

namespace otnfm {

/// How many random numbers one block of Philox words gives.
inline constexpr int kNumbersPerBlock = 4;
inline constexpr int kIndicesPerBlock = 2;

/// Uniform on [low, high). Rounding may carry low + u (high - low) up to high: `below_high`, the largest float under
/// high (high itself where low = high), stands in for it.
struct UniformMap {
  float low, high, range, below_high;

  OTNFM_HD void operator()(const PhiloxWords& words, float (&y)[kNumbersPerBlock]) const {
    for (int k = 0; k < kNumbersPerBlock; ++k) {
      const float value = fma_rn(uniform_of(words.word[k]), range, low);
      y[k] = select(value < high, value, below_high);
    }
  }
};

struct NormalMap {
  float mean, standard_deviation;

  OTNFM_HD void operator()(const PhiloxWords& words, float (&y)[kNumbersPerBlock]) const {
    normal_pair(words.word[0], words.word[1], y[0], y[1]);
    normal_pair(words.word[2], words.word[3], y[2], y[3]);
    for (int k = 0; k < kNumbersPerBlock; ++k) y[k] = fma_rn(y[k], standard_deviation, mean);
  }
};

/// floor(w bound / 2^64), w a word of 64 bits: no index is likelier than another by more than bound / 2^64.
struct IndexMap {
  std::uint32_t bound;

  OTNFM_HD void operator()(const PhiloxWords& words, std::int64_t (&index)[kIndicesPerBlock]) const {
    for (int k = 0; k < kIndicesPerBlock; ++k) {
      const std::uint64_t carry = (std::uint64_t{words.word[2 * k]} * bound) >> 32;
      index[k] = static_cast<std::int64_t>((std::uint64_t{words.word[2 * k + 1]} * bound + carry) >> 32);
    }
  }
};

}  // namespace otnfm
