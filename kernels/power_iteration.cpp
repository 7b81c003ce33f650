#include "kernels/power_iteration.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const PowerIteration& a) {
  require(a.count >= 0 && a.count <= PowerIteration::kMost, a.kName, "at most 16 matrices a call",
          std::to_string(a.count));
  require(a.iterations >= 1, a.kName, "at least one iteration", std::to_string(a.iterations));
  require(a.tolerance >= 0, a.kName, "the tolerance must not be negative", std::to_string(a.tolerance));
  require_vector(a.kName, "weights", a.weights, a.weights.shape[0]);
  require_vector(a.kName, "start", a.start, a.right.shape[0]);
  require_vector(a.kName, "left", a.left, a.left.shape[0]);
  require_vector(a.kName, "right", a.right, a.right.shape[0]);
  require_vector(a.kName, "sigma", a.sigma, a.count);
  for (int k = 0; k < a.count; ++k) {
    const SpectralMatrix& m = a.matrices[k];
    const bool fits = m.rows >= 0 && m.columns >= 0 && m.weight >= 0 && m.left >= 0 && m.right >= 0 &&
                      m.weight + m.rows * m.columns <= a.weights.shape[0] && m.left + m.rows <= a.left.shape[0] &&
                      m.right + m.columns <= a.right.shape[0];
    require(fits, a.kName, "every matrix and its vectors must lie within the flat vectors",
            "matrix " + std::to_string(k) + " of " + std::to_string(m.rows) + " x " + std::to_string(m.columns));
  }
}

}  // namespace

OTNFM_DISPATCH_OP(power_iteration, PowerIteration);

}  // namespace otnfm
