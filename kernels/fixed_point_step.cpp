#include "kernels/fixed_point_step.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const FixedPointStep& a) {
  require(a.v.rank == 1, a.kName, "v must be a vector", describe(a.v));
  const std::int64_t m = a.v.shape[0];
  require_vector(a.kName, "v", a.v, m);
  require_vector(a.kName, "mapped", a.mapped, m);
  require_vector(a.kName, "residual", a.residual, m);
  require_vector(a.kName, "marginal", a.marginal, m);
  require_vector(a.kName, "rounded", a.rounded, m);
  require_vector(a.kName, "weight", a.weight, m);
  require_matrix(a.kName, "history", a.history, a.kHistoryRows, m);
  require_vector(a.kName, "state", a.state, a.kStateSize);
  require(a.relaxation >= 1 && a.relaxation < 2, a.kName, "relaxation must be in [1, 2)", std::to_string(a.relaxation));
}

}  // namespace

OTNFM_DISPATCH_OP(fixed_point_step, FixedPointStep);

}  // namespace otnfm
