#include "kernels/residual.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"
#include "kernels/time_function.h"

namespace otnfm {
namespace {

void check(const Residual& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "g", a.g, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.x.columns());
  require_vector(a.kName, "t", a.t, a.x.rows());
  check_time_weights(a.kName, "w", a.w, a.kind, a.x.columns());
}

void check(const ResidualBackward& a) {
  require(a.dy.rank == 2, a.kName, "dy must be a matrix", describe(a.dy));
  require_matrix(a.kName, "dy", a.dy, a.dy.rows(), a.dy.columns());
  require_matrix(a.kName, "g", a.g, a.dy.rows(), a.dy.columns());
  require_matrix(a.kName, "dg", a.dg, a.dy.rows(), a.dy.columns());
  require_vector(a.kName, "t", a.t, a.dy.rows());
  check_time_weights(a.kName, "w", a.w, a.kind, a.dy.columns());
  if (!a.dw.data) return;
  check_time_weights(a.kName, "dw", a.dw, a.kind, a.dy.columns());
  require(a.dw.rows() == a.w.rows(), a.kName, "dw must have the shape of w", describe(a.dw));
}

}  // namespace

OTNFM_DISPATCH_OP(residual, Residual);
OTNFM_DISPATCH_OP(residual_backward, ResidualBackward);

}  // namespace otnfm
