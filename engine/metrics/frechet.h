// The Frechet distance between the normal distributions fitted to two sets of features (Dowson and Landau, "The Frechet
// distance between multivariate normal distributions", J. Multivariate Analysis 12, 1982; as FID: Heusel et al., 2017):
//     F = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)
// In double throughout. With C1 = L L^T, the last trace is the sum of the roots of the eigenvalues of L^T C2 L, which
// are those of C1^1/2 C2 C1^1/2: no square root of a matrix is computed, and as Cholesky's L has as many columns as C1
// has rank, singular covariances (fewer samples than features, constant ones) are no special case. The value is the
// squared distance, as FID reports it.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/view.h"

namespace otnfm {

/// Mean and covariance (divided by count - 1) of a set of features.
struct FeatureMoments {
  std::vector<double> mean;        ///< [d]
  std::vector<double> covariance;  ///< [d, d]
  std::int64_t count = 0;
};

/// Of x [n, d], n >= 2. 2 n d^2 FLOPs in double. InputError for fewer rows.
FeatureMoments feature_moments(View<const float> x);

/// About 7 d^3 FLOPs. InputError where the dimensions disagree, or a moment is not finite.
double frechet_distance(const FeatureMoments& a, const FeatureMoments& b);
double frechet_distance(View<const float> a, View<const float> b);

}  // namespace otnfm
