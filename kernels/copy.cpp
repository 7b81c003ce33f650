#include "kernels/copy.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Arguments>
void check(const Arguments& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.x.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(copy, Copy);
OTNFM_DISPATCH_OP(cast_to_bfloat16, CastToBfloat16);
OTNFM_DISPATCH_OP(cast_to_float32, CastToFloat32);

}  // namespace otnfm
