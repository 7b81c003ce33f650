// Distances of optimal transport between two samples of equal size.
//     W2(a, b)^2 = min over one-to-one sigma of mean_i |a_i - b_sigma(i)|^2
// by the exact assignment (ot/exact.h), its certificate checked; and the sliced one (Bonneel, Rabin, Peyre, Pfister,
// "Sliced and Radon Wasserstein barycenters of measures", J. Math. Imaging Vision 51, 2015), whose one-dimensional
// problems are solved by sorting:
//     SW2(a, b)^2 = mean over unit vectors u of W2(<a, u>, <b, u>)^2 <= W2(a, b)^2 / d * (1 + O(projections^-1/2)).
#pragma once

#include <cstdint>

#include "kernels/view.h"

namespace otnfm {

/// W2 of a [n, d] and b [n, d]. InputError where the shapes disagree, are empty, or an entry is not finite; RunError
/// where the solver's certificate does not close.
double w2(View<const float> a, View<const float> b);

struct SlicedOptions {
  int projections = 256;
  std::uint64_t seed = 0;  ///< of the directions
};

/// SW2 of a [n, d] and b [n, d]. InputError as above.
double sliced_wasserstein(View<const float> a, View<const float> b, const SlicedOptions& options = {});

}  // namespace otnfm
