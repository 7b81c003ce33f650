#include "kernels/clamp.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check_bounds(const char* op, float low, float high) {
  // Not `low > high`, which a NaN would pass.
  require(low <= high, op, "low must not be above high", std::to_string(low) + ", " + std::to_string(high));
}

void check(const Clamp& a) {
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.y.columns());
  require_matrix(a.kName, "x", a.x, a.y.rows(), a.y.columns());
  check_bounds(a.kName, a.low, a.high);
}

void check(const ClampBackward& a) {
  require(a.dx.rank == 2, a.kName, "dx must be a matrix", describe(a.dx));
  require_matrix(a.kName, "dx", a.dx, a.dx.rows(), a.dx.columns());
  require_matrix(a.kName, "x", a.x, a.dx.rows(), a.dx.columns());
  require_matrix(a.kName, "dy", a.dy, a.dx.rows(), a.dx.columns());
  check_bounds(a.kName, a.low, a.high);
}

}  // namespace

OTNFM_DISPATCH_OP(clamp, Clamp);
OTNFM_DISPATCH_OP(clamp_backward, ClampBackward);

}  // namespace otnfm
