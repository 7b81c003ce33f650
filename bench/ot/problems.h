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

/// `pair` is gaussian_8gaussians, 8gaussians_moons, 8gaussians_8gaussians (all d = 2) or gaussian_gaussian.
/// Where the environment variable OTNFM_BENCH_PROBLEMS names a folder, both clouds are written there as
/// NAME.source.npy and NAME.target.npy, float32 [batch, n, d].
PointClouds make_clouds(const std::string& pair, std::int64_t batch, std::int64_t n, std::int64_t d);

}  // namespace otnfm::bench
