#include "kernels/select_columns.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const SelectColumns& a) {
  require(a.x.rank == 2 && a.index.rank == 1, a.kName, "x must be a matrix, index a vector", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_vector(a.kName, "index", a.index, a.index.shape[0]);
  require(a.index.shape[0] <= a.x.columns(), a.kName, "no more indices than columns", describe(a.index));
  require_vector(a.kName, "t", a.t, a.x.rows());
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.index.shape[0] + 1);
}

void check(const SelectColumnsBackward& a) {
  require(a.dx.rank == 2 && a.index.rank == 1, a.kName, "dx must be a matrix, index a vector", describe(a.dx));
  require_matrix(a.kName, "dx", a.dx, a.dx.rows(), a.dx.columns());
  require_vector(a.kName, "index", a.index, a.index.shape[0]);
  require(a.index.shape[0] <= a.dx.columns(), a.kName, "no more indices than columns", describe(a.index));
  require_matrix(a.kName, "dy", a.dy, a.dx.rows(), a.index.shape[0] + 1);
}

}  // namespace

OTNFM_DISPATCH_OP(select_columns, SelectColumns);
OTNFM_DISPATCH_OP(select_columns_backward, SelectColumnsBackward);

}  // namespace otnfm
