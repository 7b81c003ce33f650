#include "kernels/bias_activation.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Arguments>
void check_common(const Arguments& a) {
  require(a.z.rank == 2, a.kName, "z must be a matrix", describe(a.z));
  require_matrix(a.kName, "z", a.z, a.z.rows(), a.z.columns());
  if (a.bias.data != nullptr) require_vector(a.kName, "bias", a.bias, a.z.columns());
  require(a.activation >= Activation::identity && a.activation <= Activation::softplus, a.kName, "unknown activation",
          std::to_string(static_cast<int>(a.activation)));
}

void check(const BiasActivation& a) {
  check_common(a);
  require_matrix(a.kName, "y", a.y, a.z.rows(), a.z.columns());
  require_stored_alike(a.kName, a.z, a.y);
}

void check(const BiasActivationBackward& a) {
  check_common(a);
  require_matrix(a.kName, "dy", a.dy, a.z.rows(), a.z.columns());
  require_matrix(a.kName, "dz", a.dz, a.z.rows(), a.z.columns());
  require_stored_alike(a.kName, a.z, a.dy, a.dz);
  if (a.dbias.data != nullptr) require_vector(a.kName, "dbias", a.dbias, a.z.columns());
}

}  // namespace

OTNFM_DISPATCH_OP(bias_activation, BiasActivation);
OTNFM_DISPATCH_OP(bias_activation_backward, BiasActivationBackward);

}  // namespace otnfm
