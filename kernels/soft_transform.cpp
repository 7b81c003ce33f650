#include "kernels/soft_transform.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const char* op, const SoftSource& source, const SoftTarget& target, std::int64_t n, std::int64_t m) {
  require(n == 0 || m > 0, op, "there must be a column to sum over");
  require(n <= kMostSoftTargets, op, "too many rows", std::to_string(n));
  require_vector(op, "source.rounded", source.rounded, m);
  require_vector(op, "source.weight", source.weight, m);
  require_vector(op, "target.before", target.before, n);
  require_vector(op, "target.after", target.after, n);
  require_vector(op, "target.marginal", target.marginal, n);
  require_vector(op, "target.rounded", target.rounded, n);
  require_vector(op, "target.weight", target.weight, n);
  require_vector(op, "target.residual", target.residual, n);
  if (target.mean.data != nullptr) require_vector(op, "target.mean", target.mean, n);
  require(target.damping > 0 && target.damping <= 1, op, "damping must be in (0, 1]", std::to_string(target.damping));
  if (target.damping != 1) require_vector(op, "target.offset", target.offset, n);
}

void check(const SoftTransformPoints& a) {
  require(a.x.rank == 2 && a.y.rank == 2, a.kName, "x and y must be matrices", describe(a.x) + " and " + describe(a.y));
  require_matrix(a.kName, "x", a.x, a.x.rows(), a.x.columns());
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.x.columns());
  check(a.kName, a.source, a.target, a.x.rows(), a.y.rows());
}

template <class Arguments>
void check_stored(const Arguments& a) {
  require(a.s.rank == 2, a.kName, "s must be a matrix", describe(a.s));
  require_matrix(a.kName, "s", a.s, a.s.rows(), a.s.columns());
  check(a.kName, a.source, a.target, a.transposed ? a.s.columns() : a.s.rows(),
        a.transposed ? a.s.rows() : a.s.columns());
}

void check(const SoftTransformStored& a) {
  check_stored(a);
}

void check(const SoftTransformFixed& a) {
  check_stored(a);
}

}  // namespace

OTNFM_DISPATCH_OP(soft_transform_points, SoftTransformPoints);
OTNFM_DISPATCH_OP(soft_transform_stored, SoftTransformStored);
OTNFM_DISPATCH_OP(soft_transform_fixed, SoftTransformFixed);

}  // namespace otnfm
