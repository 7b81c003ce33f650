// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter goes
// in, four independent 32-bit words come out. A number is a function of (seed, stream, step, index) alone, so every
// backend, launch shape and batch split gives the same ones.
#pragma once

#include <cstdint>

#include "kernels/device/host_device.h"
#include "kernels/device/math.h"

namespace otnfm {

struct PhiloxWords {
  std::uint32_t word[4];
};

OTNFM_HD PhiloxWords philox4x32_10(std::uint32_t c0, std::uint32_t c1, std::uint32_t c2, std::uint32_t c3,
                                   std::uint64_t seed) {
  std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0, p1 = std::uint64_t{0xCD9E8D57u} * c2;
    const std::uint32_t n0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const std::uint32_t n2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c0 = n0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = n2;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Four words for block `index` (numbers 4 index .. 4 index + 3) of a random stream at a step. A stream repeats after
/// 2^32 steps.
OTNFM_HD PhiloxWords random_words(std::uint64_t seed, std::uint32_t stream, std::uint64_t step, std::uint64_t index) {
  return philox4x32_10(static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream,
                       static_cast<std::uint32_t>(step), seed);
}

/// Uniform on [0, 1): 24 bits, so that every value is exact and 1 is never reached.
OTNFM_HD float uniform_of(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 5.96046448e-8f;
}

/// Two standard normals from two words by Box and Muller. |z| <= 6.77.
OTNFM_HD void normal_pair(std::uint32_t a, std::uint32_t b, float& z0, float& z1) {
  const float u = fma_rn(static_cast<float>(a), 2.32830644e-10f, 1.16415322e-10f);  // (0, 1]
  const float square = mul_rn(-2.0f, log_exact_bits(u));
#if OTNFM_ON_GPU
  const float radius = __fsqrt_rn(square > 0.0f ? square : 0.0f);
#else
  const float radius = __builtin_sqrtf(square > 0.0f ? square : 0.0f);
#endif
  float sine, cosine;
  sincos_turns(uniform_of(b), sine, cosine);
  z0 = mul_rn(radius, cosine);
  z1 = mul_rn(radius, sine);
}

}  // namespace otnfm
