#include "kernels/spectral_scale.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const SpectralScale& a) {
  require(a.w.rank == 2, a.kName, "w must be a matrix", describe(a.w));
  require_matrix(a.kName, "w", a.w, a.w.rows(), a.w.columns());
  require_vector(a.kName, "sigma", a.sigma, 1);
  require_matrix(a.kName, "y", a.y, a.w.rows(), a.w.columns());
  require(a.target > 0, a.kName, "the target must be positive", std::to_string(a.target));
}

void check(const SpectralScaleBackward& a) {
  require(a.w.rank == 2, a.kName, "w must be a matrix", describe(a.w));
  require_matrix(a.kName, "w", a.w, a.w.rows(), a.w.columns());
  require_vector(a.kName, "u", a.u, a.w.rows());
  require_vector(a.kName, "v", a.v, a.w.columns());
  require_vector(a.kName, "sigma", a.sigma, 1);
  require_matrix(a.kName, "dy", a.dy, a.w.rows(), a.w.columns());
  require_matrix(a.kName, "dw", a.dw, a.w.rows(), a.w.columns());
  require(a.target > 0, a.kName, "the target must be positive", std::to_string(a.target));
}

}  // namespace

OTNFM_DISPATCH_OP(spectral_scale, SpectralScale);
OTNFM_DISPATCH_OP(spectral_scale_backward, SpectralScaleBackward);

}  // namespace otnfm
