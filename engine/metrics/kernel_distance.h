// The kernel (inception) distance between two sets of features (Binkowski, Sutherland, Arbel, Gretton, "Demystifying
// MMD GANs", ICLR 2018): the squared maximum mean discrepancy by the kernel k(x, y) = (<x, y> / d + 1)^3, unbiased, so
// that unlike the Frechet distance it does not move with the number of samples. The mean over subsets of both sets, and
// its standard deviation over them, as it is usually told.
#pragma once

#include <cstdint>

#include "kernels/view.h"

namespace otnfm {

struct KernelDistance {
  double mean = 0;
  double standard_deviation = 0;  ///< over the subsets
  std::int64_t subset = 0;        ///< rows of each
};

struct KernelDistanceOptions {
  std::int64_t subsets = 100;
  std::int64_t size = 1000;  ///< rows of a subset; fewer where a set has fewer
  std::uint64_t seed = 0;
};

/// a [n, d], b [m, d]. 6 size^2 d FLOPs a subset. InputError where the dimensions disagree or a set has fewer than 2
/// rows.
KernelDistance kernel_distance(View<const float> a, View<const float> b, const KernelDistanceOptions& options = {});

}  // namespace otnfm
