#include "kernels/spline_coupling.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

/// What forward and backward have in common.
template <class Arguments>
void check_inputs(const Arguments& a) {
  require(a.x.rank == 2 && a.phi.rank == 2, a.kName, "x and phi must be matrices", describe(a.x));
  const std::int64_t B = a.x.rows(), d = a.x.columns(), n = a.phi.columns();
  require(n <= d, a.kName, "no more columns can move than there are", describe(a.phi));
  require(a.shape.bins >= 2 && a.shape.bins <= 64, a.kName, "there must be 2 to 64 bins", std::to_string(a.shape.bins));
  require(a.shape.box > 0, a.kName, "the box must be positive", std::to_string(a.shape.box));
  require(a.shape.slope_bound > 0, a.kName, "the bound of slopes must be positive",
          std::to_string(a.shape.slope_bound));
  require_matrix(a.kName, "x", a.x, B, d);
  require_matrix(a.kName, "raw", a.raw, B, n * a.shape.weights());
  require_matrix(a.kName, "phi", a.phi, B, n);
  require_vector(a.kName, "index", a.index, d);
}

void check(const SplineCoupling& a) {
  check_inputs(a);
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.x.columns());
  if (a.log_det.data != nullptr) require_vector(a.kName, "log_det", a.log_det, a.x.rows());
}

void check(const SplineCouplingBackward& a) {
  check_inputs(a);
  const std::int64_t B = a.x.rows(), d = a.x.columns();
  if (a.dy.data != nullptr) require_matrix(a.kName, "dy", a.dy, B, d);
  if (a.dlog_det.data != nullptr) require_vector(a.kName, "dlog_det", a.dlog_det, B);
  require_matrix(a.kName, "dx", a.dx, B, d);
  require_matrix(a.kName, "draw", a.draw, B, a.raw.columns());
  require_matrix(a.kName, "dphi", a.dphi, B, a.phi.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(spline_coupling, SplineCoupling);
OTNFM_DISPATCH_OP(spline_coupling_backward, SplineCouplingBackward);

}  // namespace otnfm
