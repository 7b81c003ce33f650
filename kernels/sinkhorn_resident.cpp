#include "kernels/sinkhorn_resident.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const SinkhornResident& a) {
  require(a.f.rank == 2 && a.g.rank == 2, a.kName, "f and g must be matrices", describe(a.f) + " and " + describe(a.g));
  const std::int64_t batch = a.f.rows(), n = a.f.columns(), m = a.g.columns(), d = a.x.columns();
  require(batch == 0 || fits_resident(n, m), a.kName, "a problem's costs do not fit in shared memory",
          std::to_string(n) + " x " + std::to_string(m));
  require_matrix(a.kName, "x", a.x, batch * n, d);
  require_matrix(a.kName, "y", a.y, batch * m, d);
  require_matrix(a.kName, "f", a.f, batch, n);
  require_matrix(a.kName, "g", a.g, batch, m);
  require_vector(a.kName, "error", a.error, batch);
  require_vector(a.kName, "iterations", a.iterations, batch);
  require(a.epsilon > 0, a.kName, "epsilon must be positive", std::to_string(a.epsilon));
  require(a.factor > 0 && a.factor < 1, a.kName, "factor must be in (0, 1)", std::to_string(a.factor));
  require(a.max_iterations > 0, a.kName, "max_iterations must be positive", std::to_string(a.max_iterations));
}

}  // namespace

OTNFM_DISPATCH_OP(sinkhorn_resident, SinkhornResident);

}  // namespace otnfm
