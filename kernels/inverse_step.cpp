#include "kernels/inverse_step.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const InverseStep& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  const std::int64_t rows = a.x.rows(), d = a.x.columns();
  require_matrix(a.kName, "x", a.x, rows, d);
  require_matrix(a.kName, "y", a.y, rows, d);
  require_matrix(a.kName, "image", a.image, rows, d);
  require_matrix(a.kName, "history", a.history, rows, InverseStep::kHistoryRows * d);
  require_matrix(a.kName, "state", a.state, rows, InverseStep::kStateSize);
  require_matrix(a.kName, "outcome", a.outcome, rows, 2);
  require(a.tolerance >= 0 && a.scale >= 0, a.kName, "tolerance and scale must not be negative",
          std::to_string(a.tolerance) + ", " + std::to_string(a.scale));
}

}  // namespace

OTNFM_DISPATCH_OP(inverse_step, InverseStep);

}  // namespace otnfm
