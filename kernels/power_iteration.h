// The largest singular values of many matrices at once, by power iteration (Miyato et al., ICLR 2018, algorithm 1):
//   u = W v / ||W v||,  v = W^T u / ||W^T u||,  sigma = u^T W v.
// A training step goes on from the last step's v, and one iteration a step keeps up with the weights. All matrices lie
// in one flat vector, the model's parameters, so that a whole flow is a launch or two whatever its layers are.
#pragma once

#include <array>

#include "kernels/op.h"

namespace otnfm {

/// Where a matrix and its vectors start, in elements of the flat vectors below.
struct SpectralMatrix {
  std::int64_t weight = 0;  ///< W [rows, columns], contiguous
  std::int64_t rows = 0, columns = 0;
  std::int64_t left = 0;   ///< u [rows]
  std::int64_t right = 0;  ///< v [columns]
};

struct PowerIteration {
  static constexpr const char* kName = "power_iteration";
  static constexpr int kMost = 16;  ///< matrices a call

  View<const float> weights;  // flat
  View<const float> start;    // flat: v before
  View<float> left;           // flat: u. All zeros where W v is zero (W = 0, say)
  View<float> right;          // flat: v after, may be `start`. As before where W v is zero
  View<float> sigma;          // [count]. 0 where W v is zero
  std::array<SpectralMatrix, kMost> matrices;
  int count;       ///< of them in use
  int iterations;  ///< at least 1; the most where there is a tolerance
  /// 0: exactly `iterations`. Otherwise until r = ||W v - sigma u|| <= tolerance sigma, and what is written to sigma is
  /// sigma + r: W has a singular value in sigma +- r, so it is not below the largest one that v has any part of.
  float tolerance = 0;
};
OTNFM_DECLARE_OP(power_iteration, PowerIteration);

/// Below this norm W v counts as zero: its direction would be noise, and its inverse no float.
inline constexpr double kLeastNorm = 1e-25;

}  // namespace otnfm
