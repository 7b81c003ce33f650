// The two-dimensional distributions that flows are tried on, with the parameters that the literature's code has: 8
// Gaussians, moons and checkerboard as in torchcfm (Tong et al., TMLR 2024), 25 Gaussians as in PacGAN (Lin et al.,
// NeurIPS 2018), the others as in FFJORD (Grathwohl et al., ICLR 2019), crescent being one of the moons. Every point is
// independent of the others (the originals spread theirs evenly over the curves and the components).
//
// A point is a function of its own eight random words. Angles are counted in turns, as integers where they may exceed
// one, so that no rounding enters their reduction; all but pinwheel, which needs an exponential, give the same bits on
// every backend.
#pragma once

#include "kernels/device/philox.h"

namespace otnfm {

enum class DistributionKind : int {
  eight_gaussians,
  moons,
  checkerboard,
  swissroll,
  spirals,
  rings,
  pinwheel,
  crescent,
  grid_of_25_gaussians
};

struct Point2 {
  float x, y;
};

/// A point on the arc of radius 1 above the origin, `turn` in [0, 1) of the way from (1, 0) to (-1, 0).
OTNFM_HD Point2 upper_arc(float turn) {
  float sine, cosine;
  sincos_turns(mul_rn(0.5f, turn), sine, cosine);
  return {cosine, sine};
}

/// 3 * (moon + 0.2 z) - 1
OTNFM_HD Point2 noisy_moon(Point2 moon, float z0, float z1) {
  return {fma_rn(3.0f, fma_rn(0.2f, z0, moon.x), -1.0f), fma_rn(3.0f, fma_rn(0.2f, z1, moon.y), -1.0f)};
}

/// `a` and `b` are the blocks 2 i and 2 i + 1 of the random stream, i the row.
template <DistributionKind kind>
OTNFM_HD Point2 sample_point(const PhiloxWords& a, const PhiloxWords& b) {
  constexpr float kTwoPi = 6.28318531f, kTurn24 = 5.96046448e-8f /* 2^-24 */;
  float z0, z1, sine, cosine;
  if constexpr (kind == DistributionKind::spirals)
    normal_pair(b.word[2], b.word[3], z0, z1);
  else
    normal_pair(a.word[2], a.word[3], z0, z1);

  if constexpr (kind == DistributionKind::eight_gaussians) {
    // Means on the circle of radius 5, an eighth of a turn apart; covariance sqrt(0.1) I.
    sincos_turns(mul_rn(static_cast<float>(a.word[0] >> 29), 0.125f), sine, cosine);
    return {fma_rn(5.0f, cosine, mul_rn(0.562341325f, z0)), fma_rn(5.0f, sine, mul_rn(0.562341325f, z1))};
  } else if constexpr (kind == DistributionKind::moons) {
    // The upper arc, or the lower one: the upper turned by half a turn and moved by (1, 1/2).
    const Point2 arc = upper_arc(uniform_of(a.word[1]));
    const bool upper = (a.word[0] >> 31) == 0;
    return noisy_moon({select(upper, arc.x, add_rn(1.0f, -arc.x)), select(upper, arc.y, add_rn(0.5f, -arc.y))}, z0, z1);
  } else if constexpr (kind == DistributionKind::crescent) {
    return noisy_moon(upper_arc(uniform_of(a.word[1])), z0, z1);
  } else if constexpr (kind == DistributionKind::checkerboard) {
    // x in [-2, 2); y = u - 2 Bernoulli(1/2) + (floor(x) mod 2), where floor(x) + 2 is the upper two bits of the word.
    const float x = fma_rn(uniform_of(a.word[0]), 4.0f, -2.0f);
    const float odd = static_cast<float>((a.word[0] >> 30) & 1u), lower = static_cast<float>(a.word[1] >> 31);
    const float y = add_rn(uniform_of(a.word[2]), fma_rn(-2.0f, lower, odd));
    return {mul_rn(x, 2.22222222f), mul_rn(y, 2.22222222f)};  // 1 / 0.45
  } else if constexpr (kind == DistributionKind::swissroll) {
    // t = 1.5 pi (1 + 2 u), (t cos t, t sin t) + z, over 5. In units of 2^-24 turns, t is 3 k + 3 * 2^22, u = k / 2^23.
    const std::uint32_t t = 3u * (a.word[0] >> 9) + (3u << 22);
    sincos_turns(mul_rn(static_cast<float>(t & 0xffffffu), kTurn24), sine, cosine);
    const float radius = mul_rn(static_cast<float>(t), kTwoPi * kTurn24);
    return {mul_rn(fma_rn(radius, cosine, z0), 0.2f), mul_rn(fma_rn(radius, sine, z1), 0.2f)};
  } else if constexpr (kind == DistributionKind::spirals) {
    // n = 540 degrees * sqrt(u); +-((-n cos n + u1 / 2, n sin n + u2 / 2) / 3) + 0.1 z. The root of a uniform number
    // has the distribution of the larger of two: that one is exact.
    const std::uint32_t u = a.word[0] > a.word[1] ? a.word[0] : a.word[1];
    const std::uint32_t n = 3u * (u >> 9);  // in units of 2^-24 turns
    sincos_turns(mul_rn(static_cast<float>(n & 0xffffffu), kTurn24), sine, cosine);
    const float radius = mul_rn(static_cast<float>(n), kTwoPi * kTurn24);
    const float x = fma_rn(-radius, cosine, mul_rn(0.5f, uniform_of(a.word[2])));
    const float y = fma_rn(radius, sine, mul_rn(0.5f, uniform_of(a.word[3])));
    const float third = select((b.word[0] >> 31) == 0, 0.333333333f, -0.333333333f);
    return {fma_rn(x, third, mul_rn(0.1f, z0)), fma_rn(y, third, mul_rn(0.1f, z1))};
  } else if constexpr (kind == DistributionKind::rings) {
    // Circles of radius 3/4, 6/4, 9/4 and 3, noise 0.08.
    sincos_turns(uniform_of(a.word[1]), sine, cosine);
    const float radius = mul_rn(0.75f, static_cast<float>((a.word[0] >> 30) + 1u));
    return {fma_rn(radius, cosine, mul_rn(0.08f, z0)), fma_rn(radius, sine, mul_rn(0.08f, z1))};
  } else if constexpr (kind == DistributionKind::grid_of_25_gaussians) {
    // Means (-4 + 2 i, -4 + 2 j), i and j from 0 to 4; deviation 0.05.
    const auto mean_of = [](std::uint32_t word) {
      return fma_rn(2.0f, static_cast<float>(static_cast<std::uint32_t>((std::uint64_t{word} * 5u) >> 32)), -4.0f);
    };
    return {fma_rn(0.05f, z0, mean_of(a.word[0])), fma_rn(0.05f, z1, mean_of(a.word[1]))};
  } else {
    static_assert(kind == DistributionKind::pinwheel);
    // Five blades: f = (1 + 0.3 z0, 0.1 z1), turned back by the angle 2 pi k / 5 + 0.25 e^f0, times 2.
    const float f0 = fma_rn(0.3f, z0, 1.0f), f1 = mul_rn(0.1f, z1);
    const float blade = static_cast<float>(static_cast<std::uint32_t>((std::uint64_t{a.word[0]} * 5u) >> 32));
    const float turns = fma_rn(0.0397887358f, exp_of(f0), mul_rn(0.2f, blade));  // 0.25 / (2 pi); below 2
    sincos_turns(select(turns < 1.0f, turns, add_rn(turns, -1.0f)), sine, cosine);
    return {mul_rn(2.0f, fma_rn(f0, cosine, mul_rn(f1, sine))), mul_rn(2.0f, fma_rn(f1, cosine, -mul_rn(f0, sine)))};
  }
}

/// Calls body.template operator()<kind>() with the kind as a compile-time constant.
template <class Body>
void with_distribution(DistributionKind kind, Body&& body) {
  switch (kind) {
    case DistributionKind::eight_gaussians:
      return body.template operator()<DistributionKind::eight_gaussians>();
    case DistributionKind::moons:
      return body.template operator()<DistributionKind::moons>();
    case DistributionKind::checkerboard:
      return body.template operator()<DistributionKind::checkerboard>();
    case DistributionKind::swissroll:
      return body.template operator()<DistributionKind::swissroll>();
    case DistributionKind::spirals:
      return body.template operator()<DistributionKind::spirals>();
    case DistributionKind::rings:
      return body.template operator()<DistributionKind::rings>();
    case DistributionKind::pinwheel:
      return body.template operator()<DistributionKind::pinwheel>();
    case DistributionKind::crescent:
      return body.template operator()<DistributionKind::crescent>();
    case DistributionKind::grid_of_25_gaussians:
      return body.template operator()<DistributionKind::grid_of_25_gaussians>();
  }
}

}  // namespace otnfm
