#include "kernels/copy.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const Copy& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.x.columns());
  require_stored_alike(a.kName, a.x);
  require_stored_alike(a.kName, a.y);
}

}  // namespace

OTNFM_DISPATCH_OP(copy, Copy);

}  // namespace otnfm
