#include "kernels/gradient_norm.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const GradientNorm& a) {
  require(a.gradient.rank == 1, a.kName, "gradient must be a vector", describe(a.gradient));
  require_vector(a.kName, "gradient", a.gradient, a.gradient.shape[0]);
  require_vector(a.kName, "norm", a.norm, 1);
  require_vector(a.kName, "clip_scale", a.clip_scale, 1);
  require(a.max_norm == a.max_norm, a.kName, "max_norm must be a number", std::to_string(a.max_norm));
}

}  // namespace

OTNFM_DISPATCH_OP(gradient_norm, GradientNorm);

}  // namespace otnfm
