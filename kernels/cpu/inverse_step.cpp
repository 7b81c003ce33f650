// At most 8 (kDepth + 3) bytes an element read and 20 written, 6 kDepth FLOPs: small beside the network that made
// f(x).
#include "kernels/device/inverse_step.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void inverse_step(Stream&, const InverseStep& a) {
  constexpr int kDepth = InverseRow::kDepth;
  const std::int64_t d = a.x.columns();
  host::parallel_rows(a.x.rows(), d * kDepth, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double rr = 0, xx = 0, yy = 0;
      for (std::int64_t j = 0; j < d; ++j) {
        const double x = a.x.row(i)[j], y = a.y.row(i)[j], r = a.y.row(i)[j] - a.image.row(i)[j];
        rr += r * r, xx += x * x, yy += y * y;
      }
      InverseRow row = InverseRow::open(a, i, rr, xx, yy);
      double change_with[kDepth] = {}, residual_with[kDepth] = {}, gamma[kDepth] = {};
      if (row.mixes(a)) {
        for (std::int64_t j = 0; j < d; ++j) row.remember(a, i, j, change_with, residual_with);
        row.solve(a, i, change_with, residual_with, gamma, true);
      }
      for (std::int64_t j = 0; j < d; ++j) row.write(a, i, j, gamma);
      row.close(a, i);
    }
  });
}

}  // namespace otnfm::cpu
