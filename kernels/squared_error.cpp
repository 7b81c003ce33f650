#include "kernels/squared_error.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Arguments>
void check_common(const Arguments& a) {
  require(a.prediction.rank == 2, a.kName, "prediction must be a matrix", describe(a.prediction));
  require_matrix(a.kName, "prediction", a.prediction, a.prediction.rows(), a.prediction.columns());
  require_matrix(a.kName, "target", a.target, a.prediction.rows(), a.prediction.columns());
  if (a.weight.data != nullptr) require_vector(a.kName, "weight", a.weight, a.prediction.rows());
}

void check(const SquaredError& a) {
  check_common(a);
  require_vector(a.kName, "loss", a.loss, 1);
}

void check(const SquaredErrorBackward& a) {
  check_common(a);
  require_vector(a.kName, "dloss", a.dloss, 1);
  require_matrix(a.kName, "dprediction", a.dprediction, a.prediction.rows(), a.prediction.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(squared_error, SquaredError);
OTNFM_DISPATCH_OP(squared_error_backward, SquaredErrorBackward);

}  // namespace otnfm
