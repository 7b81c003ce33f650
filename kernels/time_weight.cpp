#include "kernels/time_weight.h"

#include "kernels/check.h"
#include "kernels/dispatch.h"

namespace otnfm {
namespace {

void check(const TimeWeight& a) {
  require(a.t.rank == 1, a.kName, "t must be a vector", describe(a.t));
  require_vector(a.kName, "t", a.t, a.t.size());
  require_vector(a.kName, "weight", a.weight, a.t.size());
  require(a.lowest > 0, a.kName, "lowest must be positive", std::to_string(a.lowest));
}

}  // namespace

OTNFM_DISPATCH_OP(time_weight, TimeWeight);

}  // namespace otnfm
