#include "kernels/time_function.h"

#include "kernels/check.h"

namespace otnfm {
namespace {

/// Returns whether w has the number of weights that the kind wants.
bool right_weights(TimeFunctionKind kind, std::int64_t weights) {
  switch (kind) {
    case TimeFunctionKind::identity:
      return weights == 0;
    case TimeFunctionKind::linear:
    case TimeFunctionKind::tanh:
    case TimeFunctionKind::log:
      return weights == 1;
    case TimeFunctionKind::fourier:
    case TimeFunctionKind::bounded_fourier:
      return weights >= 2 && weights % 2 == 0;
  }
  return false;
}

void check_weights(const char* op, const char* name, const View<const float>& w, TimeFunctionKind kind,
                   std::int64_t d) {
  require(w.rank == 2, op, "the weights must be a matrix [K, d]", describe(w));
  require(right_weights(kind, w.rows()), op,
          "K must be 0 for identity, 1 for linear, tanh and log, 2 m for the Fourier kinds",
          "K = " + std::to_string(w.rows()) + ", kind " + std::to_string(static_cast<int>(kind)));
  require_matrix(op, name, w, w.rows(), d);
  require(w.contiguous(), op, "the weights must be contiguous", describe(w));
}

void check(const TimeFunction& a) {
  require(a.phi.rank == 2, a.kName, "phi must be a matrix", describe(a.phi));
  require_matrix(a.kName, "phi", a.phi, a.phi.rows(), a.phi.columns());
  require_vector(a.kName, "t", a.t, a.phi.rows());
  if (a.kind == TimeFunctionKind::identity && a.w.empty()) return;
  check_weights(a.kName, "w", a.w, a.kind, a.phi.columns());
}

void check(const TimeFunctionBackward& a) {
  require(a.kind != TimeFunctionKind::identity, a.kName, "identity has no weights, and so no backward");
  require(a.dphi.rank == 2, a.kName, "dphi must be a matrix", describe(a.dphi));
  require_matrix(a.kName, "dphi", a.dphi, a.dphi.rows(), a.dphi.columns());
  require_vector(a.kName, "t", a.t, a.dphi.rows());
  check_weights(a.kName, "w", a.w, a.kind, a.dphi.columns());
  check_weights(a.kName, "dw", a.dw, a.kind, a.dphi.columns());
  require(a.dw.rows() == a.w.rows(), a.kName, "dw must have the shape of w", describe(a.dw));
}

}  // namespace

OTNFM_DISPATCH_OP(time_function, TimeFunction);
OTNFM_DISPATCH_OP(time_function_backward, TimeFunctionBackward);

}  // namespace otnfm
