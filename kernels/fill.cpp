#include "kernels/fill.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const Fill& a) {
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.y.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(fill, Fill);

}  // namespace otnfm
