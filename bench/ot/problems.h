// The problems that the assignment solvers are timed on, and that bench/peers/ot_exact.py hands to other libraries.
// Seeded by their name, so that every run and every program has the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace otnfm::bench {

struct PointClouds {
  std::string name;
  std::int64_t batch, n, d;
  std::vector<float> source, target;  // [batch, n, d]
};

/// `pair` is gaussian_8gaussians, 8gaussians_moons, 8gaussians_8gaussians (all d = 2), or in any dimension
/// gaussian_gaussian, gaussian_mixture (eight modes), uniform_uniform (on the unit cube), clustered_clustered (both of
/// sqrt(n) tight clusters), or gaussian_cifar (d = 3072; needs cifar_folder()).
/// Where the environment variable OTNFM_BENCH_PROBLEMS names a folder, both clouds are written there as
/// NAME.source.npy and NAME.target.npy, float32 [batch, n, d].
PointClouds make_clouds(const std::string& pair, std::int64_t batch, std::int64_t n, std::int64_t d);

/// The folder of CIFAR-10's binary files, from the environment variable OTNFM_BENCH_CIFAR; null where it is not set.
const char* cifar_folder();

/// The same, made once.
const PointClouds& clouds_of(const std::string& pair, std::int64_t batch, std::int64_t n, std::int64_t d);

}  // namespace otnfm::bench
