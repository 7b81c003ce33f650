// About 16 (depth + 4) bytes an element, read and written once or twice; nothing beside the sums over the plan.
#include "kernels/device/fixed_point_step.h"

namespace otnfm::cpu {

void fixed_point_step(Stream&, const FixedPointStep& a) {
  const std::int64_t m = a.v.shape[0];
  double error = 0;
  for (std::int64_t j = 0; j < m; ++j) error += a.residual.data[j];
  FixedPoint point = FixedPoint::open(a, error);
  double change_with[FixedPoint::kDepth] = {}, residual_with[FixedPoint::kDepth] = {}, gamma[FixedPoint::kDepth] = {};
  if (point.mixes) {
    for (std::int64_t j = 0; j < m; ++j) point.remember(a, j, change_with, residual_with);
    point.solve(a, change_with, residual_with, gamma);
  }
  for (std::int64_t j = 0; j < m; ++j) point.write(a, j, gamma);
  point.close(a);
}

}  // namespace otnfm::cpu
