#include "kernels/reduce.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const ReduceRows& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require(a.reduction == Reduction::sum || a.reduction == Reduction::sum_of_squares, a.kName, "unknown reduction",
          std::to_string(static_cast<int>(a.reduction)));
  require_vector(a.kName, "y", a.y, a.x.rows());
}

}  // namespace

OTNFM_DISPATCH_OP(reduce_rows, ReduceRows);

}  // namespace otnfm
