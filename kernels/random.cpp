#include "kernels/random.h"

#include <cmath>

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

template <class Op>
void check_key(const Op& a) {
  if (a.key.step.data) require_vector(a.kName, "key.step", a.key.step, 1);
  require(a.key.first_row >= 0, a.kName, "key.first_row must not be negative", std::to_string(a.key.first_row));
}

void check(const Uniform& a) {
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.y.columns());
  check_key(a);
  require(std::isfinite(a.low) && std::isfinite(a.high) && a.low <= a.high && std::isfinite(a.high - a.low), a.kName,
          "low and high must be finite, low <= high", std::to_string(a.low) + ", " + std::to_string(a.high));
}

void check(const Normal& a) {
  require(a.y.rank == 2, a.kName, "y must be a matrix", describe(a.y));
  require_matrix(a.kName, "y", a.y, a.y.rows(), a.y.columns());
  check_key(a);
  require(std::isfinite(a.mean), a.kName, "mean must be finite", std::to_string(a.mean));
  require(std::isfinite(a.standard_deviation) && a.standard_deviation >= 0, a.kName,
          "standard_deviation must be finite and not negative", std::to_string(a.standard_deviation));
}

void check(const RandomIndices& a) {
  require(a.index.rank == 1, a.kName, "index must be a vector", describe(a.index));
  require_vector(a.kName, "index", a.index, a.index.shape[0]);
  check_key(a);
  require(a.bound >= 1 && a.bound <= 0xffffffff, a.kName, "bound must be in 1 .. 2^32 - 1", std::to_string(a.bound));
}

}  // namespace

OTNFM_DISPATCH_OP(uniform, Uniform);
OTNFM_DISPATCH_OP(normal, Normal);
OTNFM_DISPATCH_OP(random_indices, RandomIndices);

}  // namespace otnfm
