#include "kernels/gru.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

/// All of them are matrices of x's shape.
template <class Arguments, class... Views>
void check_all(const Arguments& a, const Views&... views) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  (require_matrix(a.kName, "every operand", views, a.x.rows(), a.x.columns()), ...);
  require(a.box > 0, a.kName, "the box must be positive", std::to_string(a.box));
}

void check(const GruReset& a) {
  check_all(a, a.x, a.y);
  if (a.r.data != nullptr) check_all(a, a.r);
}

void check(const GruResetBackward& a) {
  check_all(a, a.x, a.dy, a.dx);
  if (a.r.data != nullptr) check_all(a, a.r, a.dr);
}

void check(const GruGate& a) {
  check_all(a, a.x, a.phi, a.z, a.u, a.y);
}

void check(const GruGateBackward& a) {
  check_all(a, a.x, a.phi, a.z, a.u, a.dy, a.dx, a.dphi, a.dz, a.du);
}

}  // namespace

OTNFM_DISPATCH_OP(gru_reset, GruReset);
OTNFM_DISPATCH_OP(gru_reset_backward, GruResetBackward);
OTNFM_DISPATCH_OP(gru_gate, GruGate);
OTNFM_DISPATCH_OP(gru_gate_backward, GruGateBackward);

}  // namespace otnfm
