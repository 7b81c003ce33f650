#include "kernels/interpolate.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const Interpolate& a) {
  require(a.xt.rank == 2, a.kName, "xt must be a matrix", describe(a.xt));
  require_matrix(a.kName, "xt", a.xt, a.xt.rows(), a.xt.columns());
  require_matrix(a.kName, "x0", a.x0, a.xt.rows(), a.xt.columns());
  require_matrix(a.kName, "x1", a.x1, a.xt.rows(), a.xt.columns());
  require_vector(a.kName, "t", a.t, a.xt.rows());
}

void check(const InterpolateBackward& a) {
  require(a.dxt.rank == 2, a.kName, "dxt must be a matrix", describe(a.dxt));
  require_matrix(a.kName, "dxt", a.dxt, a.dxt.rows(), a.dxt.columns());
  require_vector(a.kName, "t", a.t, a.dxt.rows());
  if (a.dx0.data != nullptr) require_matrix(a.kName, "dx0", a.dx0, a.dxt.rows(), a.dxt.columns());
  if (a.dx1.data != nullptr) require_matrix(a.kName, "dx1", a.dx1, a.dxt.rows(), a.dxt.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(interpolate, Interpolate);
OTNFM_DISPATCH_OP(interpolate_backward, InterpolateBackward);

}  // namespace otnfm
