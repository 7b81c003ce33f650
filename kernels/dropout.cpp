#include "kernels/dropout.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const Dropout& a) {
  require(a.x.rank == 2, a.kName, "x must be a matrix", describe(a.x));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.x.rows(), a.x.columns());
  require_stored_alike(a.kName, a.x, a.y);
  require(a.rate >= 0 && a.rate < 1, a.kName, "the rate must be in [0, 1)", std::to_string(a.rate));
  require(a.key.first_row >= 0, a.kName, "first_row must not be negative", std::to_string(a.key.first_row));
}

}  // namespace

OTNFM_DISPATCH_OP(dropout, Dropout);

}  // namespace otnfm
