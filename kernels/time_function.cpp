#include "kernels/time_function.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const TimeFunction& a) {
  require(a.phi.rank == 2, a.kName, "phi must be a matrix", describe(a.phi));
  require_matrix(a.kName, "phi", a.phi, a.phi.rows(), a.phi.columns());
  require_vector(a.kName, "t", a.t, a.phi.rows());
  check_time_weights(a.kName, "w", a.w, a.kind, a.phi.columns());
}

void check(const TimeFunctionBackward& a) {
  require(a.kind != TimeFunctionKind::identity, a.kName, "identity has no weights, and so no backward");
  require(a.dphi.rank == 2, a.kName, "dphi must be a matrix", describe(a.dphi));
  require_matrix(a.kName, "dphi", a.dphi, a.dphi.rows(), a.dphi.columns());
  require_vector(a.kName, "t", a.t, a.dphi.rows());
  check_time_weights(a.kName, "w", a.w, a.kind, a.dphi.columns());
  check_time_weights(a.kName, "dw", a.dw, a.kind, a.dphi.columns());
  require(a.dw.rows() == a.w.rows(), a.kName, "dw must have the shape of w", describe(a.dw));
}

}  // namespace

void check_time_weights(const char* op, const char* name, const View<const float>& w, TimeFunctionKind kind,
                        std::int64_t d) {
  if (kind == TimeFunctionKind::identity && w.empty()) return;
  require(w.rank == 2, op, "the weights must be a matrix [K, d]", describe(w));
  require(time_function_takes(kind, w.rows()), op,
          "K must be 0 for identity, 1 for linear, tanh and log, 2 m for the Fourier kinds",
          "K = " + std::to_string(w.rows()) + ", kind " + std::to_string(static_cast<int>(kind)));
  require_matrix(op, name, w, w.rows(), d);
  require(w.contiguous(), op, "the weights must be contiguous", describe(w));
}

OTNFM_DISPATCH_OP(time_function, TimeFunction);
OTNFM_DISPATCH_OP(time_function_backward, TimeFunctionBackward);

}  // namespace otnfm
