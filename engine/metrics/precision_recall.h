// Precision and recall of generated samples (Kynkaanniemi, Karras, Laine, Lehtinen, Aila, "Improved precision and
// recall metric for assessing generative models", NeurIPS 2019). The manifold of a set is the union of balls around its
// points, each as large as the distance to the point's k-th nearest neighbour in the set. Precision: the share of
// generated samples inside of the data's manifold (are they real?); recall: the share of the data inside of the
// generated one (is everything covered?). Any features will do; distances are float32 (engine/metrics/pairwise.h).
#pragma once

#include <vector>

#include "kernels/view.h"

namespace otnfm {

/// A set of points and the balls around them, which are the same whatever it is compared with. The points stay the
/// caller's.
struct Manifold {
  View<const float> points;          ///< [n, d]
  std::vector<float> squared_radii;  ///< [n]

  /// 1 <= neighbours < n; InputError otherwise. 2 n^2 d FLOPs.
  explicit Manifold(View<const float> set, int neighbours = 3);
};

struct PrecisionRecall {
  double precision = 0;
  double recall = 0;
};

/// Of n generated and m data points, in 2 n m d FLOPs. InputError where the dimensions disagree.
PrecisionRecall precision_recall(const Manifold& generated, const Manifold& data);
PrecisionRecall precision_recall(View<const float> generated, View<const float> data, int neighbours = 3);

}  // namespace otnfm
