#include "kernels/affine_coupling.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

/// What forward and backward have in common.
template <class Arguments>
void check_inputs(const Arguments& a) {
  require(a.x.rank == 2 && a.phi_scale.rank == 2, a.kName, "x and phi_scale must be matrices", describe(a.x));
  const std::int64_t B = a.x.rows(), d = a.x.columns(), n = a.phi_scale.columns();
  require(n <= d, a.kName, "no more columns can move than there are", describe(a.phi_scale));
  require_matrix(a.kName, "x", a.x, B, d);
  require_matrix(a.kName, "raw", a.raw, B, 2 * n);
  require_matrix(a.kName, "phi_scale", a.phi_scale, B, n);
  require_matrix(a.kName, "phi_shift", a.phi_shift, B, n);
  require_vector(a.kName, "index", a.index, d);
  require(a.bound > 0, a.kName, "the bound of the log-scale must be positive", std::to_string(a.bound));
}

void check(const AffineCoupling& a) {
  check_inputs(a);
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.x.columns());
  if (a.log_det.data != nullptr) require_vector(a.kName, "log_det", a.log_det, a.x.rows());
}

void check(const AffineCouplingBackward& a) {
  check_inputs(a);
  const std::int64_t B = a.x.rows(), d = a.x.columns(), n = a.phi_scale.columns();
  if (a.dy.data != nullptr) require_matrix(a.kName, "dy", a.dy, B, d);
  if (a.dlog_det.data != nullptr) require_vector(a.kName, "dlog_det", a.dlog_det, B);
  require_matrix(a.kName, "dx", a.dx, B, d);
  require_matrix(a.kName, "draw", a.draw, B, 2 * n);
  require_matrix(a.kName, "dphi_scale", a.dphi_scale, B, n);
  require_matrix(a.kName, "dphi_shift", a.dphi_shift, B, n);
}

}  // namespace

OTNFM_DISPATCH_OP(affine_coupling, AffineCoupling);
OTNFM_DISPATCH_OP(affine_coupling_backward, AffineCouplingBackward);

}  // namespace otnfm
