#include "kernels/concat.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const ConcatColumns& a) {
  require(a.a.rank == 2, a.kName, "a must be a matrix", describe(a.a));
  require(a.b.rank == 2, a.kName, "b must be a matrix", describe(a.b));
  require_matrix(a.kName, "a", a.a, a.a.rows(), a.a.columns());
  require_matrix(a.kName, "b", a.b, a.a.rows(), a.b.columns());
  require_matrix(a.kName, "y", a.y, a.a.rows(), a.a.columns() + a.b.columns());
  require_stored_alike(a.kName, a.a, a.b, a.y);
}

/// A part without memory has a shape all the same.
void check_part(const SplitColumns& a, const char* name, const View<Stored>& part) {
  require(part.rank == 2, a.kName, (std::string(name) + " must be a matrix").c_str(), describe(part));
  if (part.data != nullptr)
    require_matrix(a.kName, name, part, a.y.rows(), part.columns());
  else
    require(part.columns() >= 0, a.kName, name, describe(part));
}

void check(const SplitColumns& a) {
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  check_part(a, "a", a.a);
  check_part(a, "b", a.b);
  require_stored_alike(a.kName, a.y, a.a, a.b);
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.a.columns() + a.b.columns());
}

void check(const Broadcast& a) {
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.y.columns());
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  const bool column = a.x.columns() == 1 && a.x.rows() == a.y.rows();
  require_matrix(a.kName, "x", a.x, column ? a.y.rows() : 1, column ? 1 : a.y.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(concat_columns, ConcatColumns);
OTNFM_DISPATCH_OP(split_columns, SplitColumns);
OTNFM_DISPATCH_OP(broadcast, Broadcast);

}  // namespace otnfm
