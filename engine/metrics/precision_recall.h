// Precision and recall of generated samples (Kynkaanniemi, Karras, Laine, Lehtinen, Aila, "Improved precision and
// recall metric for assessing generative models", NeurIPS 2019). The manifold of a set is the union of balls around its
// points, each as large as the distance to the point's k-th nearest neighbour in the set. Precision: the share of
// generated samples inside of the data's manifold (are they real?); recall: the share of the data inside of the
// generated one (is everything covered?). Any features will do; distances are float32 (engine/metrics/pairwise.h).
#pragma once

#include "kernels/view.h"

namespace otnfm {

struct PrecisionRecall {
  double precision = 0;
  double recall = 0;
};

/// generated [n, d], data [m, d]; 1 <= neighbours < n and m. InputError otherwise, and where the dimensions disagree.
PrecisionRecall precision_recall(View<const float> generated, View<const float> data, int neighbours = 3);

}  // namespace otnfm
