// Philox 4x32-10 written a second time, from the paper and for the references alone: words as a matrix of 64-bit
// numbers, one round a function, nothing of kernels/.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace otnfm::cases {

using Words = std::array<std::uint64_t, 4>;

inline Words reference_philox(Words counter, std::uint64_t key_low, std::uint64_t key_high) {
  constexpr std::uint64_t kLow32 = 0xffffffff;
  const auto round = [](const Words& c, std::uint64_t k0, std::uint64_t k1) {
    const std::uint64_t left = 3528531795u * c[0], right = 3449720151u * c[2];
    return Words{(right >> 32) ^ c[1] ^ k0, right & kLow32, (left >> 32) ^ c[3] ^ k1, left & kLow32};
  };
  for (std::uint64_t r = 0; r < 10; ++r)
    counter = round(counter, (key_low + r * 2654435769u) & kLow32, (key_high + r * 3144134277u) & kLow32);
  return counter;
}

/// Word `number` of a stream at a step.
inline std::uint32_t reference_word(std::uint64_t seed, std::uint32_t stream, std::uint64_t step,
                                    std::uint64_t number) {
  const std::uint64_t block = number / 4;
  const Words counter = {block & 0xffffffff, block >> 32, stream, step & 0xffffffff};
  return static_cast<std::uint32_t>(reference_philox(counter, seed & 0xffffffff, seed >> 32)[number % 4]);
}

/// On [0, 1), by the upper 24 bits.
inline double reference_uniform(std::uint32_t word) {
  return std::floor(word / 256.0) / 16777216.0;
}

/// Box and Muller: the cosine (which = 0) or the sine of a pair. The uniform number under the logarithm is a float by
/// definition: (word + 1/2) / 2^32, rounded.
inline double reference_normal(std::uint32_t radius_word, std::uint32_t angle_word, int which) {
  const double word = static_cast<float>(radius_word);
  const double u = static_cast<float>((word + 0.5) / 4294967296.0);
  const double radius = std::sqrt(std::max(0.0, -2.0 * std::log(u)));
  const double angle = 2.0 * 3.14159265358979323846 * reference_uniform(angle_word);
  return radius * (which == 0 ? std::cos(angle) : std::sin(angle));
}

}  // namespace otnfm::cases
