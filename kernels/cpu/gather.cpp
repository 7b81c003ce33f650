// 8 bytes an element and 8 an index: bound by memory.
#include "kernels/gather.h"

#include <limits>

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void gather_rows(Stream&, const GatherRows& a) {
  const std::int64_t d = a.y.columns();
  host::parallel_rows(a.y.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t source = a.index.data[i];
      float* y = a.y.row(i);
      if (source < 0 || source >= a.x.rows()) {
        std::fill(y, y + d, std::numeric_limits<float>::quiet_NaN());
        continue;
      }
      const float* x = a.x.row(source);
      for (std::int64_t j = 0; j < d; ++j) y[j] = x[j];
    }
  });
}

}  // namespace otnfm::cpu
