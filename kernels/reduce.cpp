#include "kernels/reduce.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Arguments>
void check_common(const Arguments& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require(a.reduction >= Reduction::sum && a.reduction <= Reduction::max, a.kName, "unknown reduction",
          std::to_string(static_cast<int>(a.reduction)));
}

/// A maximum needs an element in each of the `results` lines.
template <class Arguments>
void check_maximum(const Arguments& a, std::int64_t elements, std::int64_t results) {
  require(a.reduction != Reduction::max || elements > 0 || results == 0, a.kName, "a maximum of nothing: x",
          describe(a.x));
}

void check(const ReduceRows& a) {
  check_common(a);
  check_maximum(a, a.x.columns(), a.x.rows());
  require_vector(a.kName, "y", a.y, a.x.rows());
}

void check(const ReduceColumns& a) {
  check_common(a);
  check_maximum(a, a.x.rows(), a.x.columns());
  require_vector(a.kName, "y", a.y, a.x.columns());
}

void check(const ReduceRowsBackward& a) {
  check_common(a);
  require_vector(a.kName, "dy", a.dy, a.x.rows());
  require_matrix(a.kName, "dx", a.dx, a.x.rows(), a.x.columns());
}

void check(const ReduceColumnsBackward& a) {
  check_common(a);
  require_vector(a.kName, "dy", a.dy, a.x.columns());
  require_matrix(a.kName, "dx", a.dx, a.x.rows(), a.x.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(reduce_rows, ReduceRows);
OTNFM_DISPATCH_OP(reduce_columns, ReduceColumns);
OTNFM_DISPATCH_OP(reduce_rows_backward, ReduceRowsBackward);
OTNFM_DISPATCH_OP(reduce_columns_backward, ReduceColumnsBackward);

}  // namespace otnfm
