// A batch of small entropic transport problems between point clouds, uniform marginals, squared Euclidean costs, each
// solved whole by one launch: min over plans P of sum_ij P_ij C_ij + epsilon KL(P | a b^T), by alternating updates
//     f_i = -epsilon log mean_j exp((g_j - C_ij) / epsilon),    g_j likewise,
// while epsilon falls from `first_epsilon` by `factor`. Stages before the last end at an L1 error of the columns'
// marginal of 0.1, or after 12 iterations. The plan is P_ij = exp((f_i + g_j - C_ij) / epsilon) / (n m). float32: it
// holds down to epsilon of about 1e-4 of the costs.
#pragma once

#include "kernels/op.h"

namespace otnfm {

struct SinkhornResident {
  static constexpr const char* kName = "sinkhorn_resident";
  View<const float> x;            // [B n, d], problem by problem
  View<const float> y;            // [B m, d]
  View<float> f;                  // [B, n]
  View<float> g;                  // [B, m]
  View<float> error;              // [B] L1 error of the columns' marginal at (f, g); the rows' is 0
  View<std::int32_t> iterations;  // [B]
  float epsilon = 1;
  float first_epsilon = 1;  // at or below `epsilon`: no annealing
  float factor = 0.25f;     // in (0, 1)
  float tolerance = 1e-3f;
  std::int32_t max_iterations = 1000;  // in all, of one problem
};
OTNFM_DECLARE_OP(sinkhorn_resident, SinkhornResident);

/// Whether a problem's costs fit in the memory of a multiprocessor beside its potentials (n = m: up to 237).
constexpr bool fits_resident(std::int64_t n, std::int64_t m) {
  constexpr std::int64_t kMostFloats = 227 * 1024 / 4 - 256;
  return n > 0 && m > 0 && n <= kMostFloats && m <= kMostFloats && n * (m + 1) + n + m <= kMostFloats;
}

}  // namespace otnfm
