#include "kernels/finite.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const CountNonfinite& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_vector(a.kName, "count", a.count, 1);
}

}  // namespace

OTNFM_DISPATCH_OP(count_nonfinite, CountNonfinite);

}  // namespace otnfm
