#include "kernels/time_embedding.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const TimeEmbedding& a) {
  require(a.y.rank == 2 && a.y.columns() % 2 == 0, a.kName, "y must be a matrix of an even number of columns",
          describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.y.columns());
  require_vector(a.kName, "t", a.t, a.y.rows());
}

}  // namespace

OTNFM_DISPATCH_OP(time_embedding, TimeEmbedding);

}  // namespace otnfm
