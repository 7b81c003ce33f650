#include "kernels/elementwise.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Arguments>
void check_pair(const Arguments& a) {
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.y.columns());
  require_matrix(a.kName, "a", a.a, a.y.rows(), a.y.columns());
  require_matrix(a.kName, "b", a.b, a.y.rows(), a.y.columns());
  require_stored_alike(a.kName, a.y, a.a, a.b);
}

template <class Arguments>
void check_one(const Arguments& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.x.columns());
  require_stored_alike(a.kName, a.y, a.x);
}

void check(const Add& a) {
  check_pair(a);
}

void check(const Multiply& a) {
  check_pair(a);
}

void check(const MultiplyBackward& a) {
  require(a.dy.rank == 2, a.kName, "dy must be a matrix", describe(a.dy));
  require_matrix(a.kName, "dy", a.dy, a.dy.rows(), a.dy.columns());
  require_matrix(a.kName, "a", a.a, a.dy.rows(), a.dy.columns());
  require_matrix(a.kName, "b", a.b, a.dy.rows(), a.dy.columns());
  require_matrix(a.kName, "da", a.da, a.dy.rows(), a.dy.columns());
  require_matrix(a.kName, "db", a.db, a.dy.rows(), a.dy.columns());
  require_stored_alike(a.kName, a.dy, a.a, a.b, a.da, a.db);
}

void check(const Scale& a) {
  check_one(a);
}

void check(const Axpby& a) {
  check_one(a);
}

}  // namespace

OTNFM_DISPATCH_OP(add, Add);
OTNFM_DISPATCH_OP(multiply, Multiply);
OTNFM_DISPATCH_OP(multiply_backward, MultiplyBackward);
OTNFM_DISPATCH_OP(scale, Scale);
OTNFM_DISPATCH_OP(axpby, Axpby);

}  // namespace otnfm
