#include "kernels/gather.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const GatherRows& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.x.columns());
  require_vector(a.kName, "index", a.index, a.y.rows());
}

}  // namespace

OTNFM_DISPATCH_OP(gather_rows, GatherRows);

}  // namespace otnfm
