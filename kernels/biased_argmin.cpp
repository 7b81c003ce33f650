#include "kernels/biased_argmin.h"

#include <limits>

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const BiasedArgmin& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require(a.points.rank == 2, a.kName, "points must be a matrix", describe(a.points));
  require(a.points.rows() < std::numeric_limits<std::int32_t>::max(), a.kName, "there may be fewer than 2^31 points",
          describe(a.points));
  require_matrix(a.kName, "points", a.points, a.points.rows(), a.x.columns());
  require_vector(a.kName, "bias", a.bias, a.points.rows());
  require_vector(a.kName, "index", a.index, a.x.rows());
  require_vector(a.kName, "value", a.value, a.x.rows());
}

}  // namespace

OTNFM_DISPATCH_OP(biased_argmin, BiasedArgmin);

}  // namespace otnfm
