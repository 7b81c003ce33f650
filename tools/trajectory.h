// otnfm sample --trajectory: the points of a model's samples on their way.
#pragma once

#include <cstdint>
#include <string>

#include "engine/generate/generator.h"

namespace otnfm {

struct Trajectory {
  std::string points, picture;  ///< the two files
  std::int64_t nfe = 0;         ///< network evaluations a sample
};

/// F(t_k, x0) at K times from 0 to 1, of samples 0 .. n - 1 of the seed: `stem`.npy [K, n, d] and `stem`.png, the paths
/// (of images, a row of the grid each). InputError where K < 2, n < 1, or memory would not hold it.
Trajectory write_trajectory(const Generator& generator, Device device, std::int64_t K, std::int64_t n,
                            std::uint64_t seed, const SamplerChoice& choice, const std::string& stem);

}  // namespace otnfm
