// The nearest neighbour of each sample in a set of points (`nearest_train`, `nearest_train_test`): exact, by brute
// force.
//
// A GEMM in float32 (engine/metrics/pairwise.h) keeps the 16 nearest candidates of every sample; those that its
// rounding cannot tell apart are measured again in double. Where all 16 are that close (duplicates), the sample is
// searched in double from end to end, so the answer is exact always. 2 n m d FLOPs; 4096 x 60,000 x 784 takes 2 to 3 s
// on two cores.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/view.h"

namespace otnfm {

struct Nearest {
  std::vector<std::int64_t> index;  ///< [n]: the nearest point of each sample; of equal ones the first
  std::vector<double> distance;     ///< [n]: to it, Euclidean

  double mean_distance() const;  ///< NaN where there are no samples
};

/// samples [n, d], points [m, d]. InputError where the dimensions disagree, or there are samples and no points.
Nearest find_nearest(View<const float> samples, View<const float> points);

}  // namespace otnfm
