// The squared maximum mean discrepancy between two samples (Gretton, Borgwardt, Rasch, Schoelkopf, Smola, "A kernel
// two-sample test", JMLR 13, 2012, lemma 6), unbiased, so that it scatters around 0, and may be negative, where both
// come from one distribution:
//     MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)
// with the mixture k(x, y) = mean over c in {1/4, 1/2, 1, 2, 4} of exp(-|x - y|^2 / (c m)), m the median squared
// distance within the data y (at most its first 1,024 points): of the data alone, so that two models are measured by
// one scale.
#pragma once

#include "kernels/view.h"

namespace otnfm {

struct Mmd {
  double squared = 0;           ///< the estimate of MMD^2
  double squared_distance = 0;  ///< m, the kernel's scale
};

/// generated [n, d], data [m, d], n and m at least 2. InputError where the dimensions disagree or there are fewer rows.
Mmd mmd(View<const float> generated, View<const float> data);

}  // namespace otnfm
