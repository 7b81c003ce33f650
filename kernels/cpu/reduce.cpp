// 4 bytes an element, 1 or 2 FLOPs: bound by memory. A row in double lanes.
#include "kernels/reduce.h"

#include "kernels/cpu/lanes.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void reduce_rows(Stream&, const ReduceRows& a) {
  const std::int64_t d = a.x.columns();
  const bool squares = a.reduction == Reduction::sum_of_squares;
  host::parallel_rows(a.x.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* const x = a.x.row(i);
      a.y.data[i] = static_cast<float>(squares ? sum_lanes<double>(d, [&](auto load) { return load(x) * load(x); })
                                               : sum_lanes<double>(d, [&](auto load) { return load(x); }));
    }
  });
}

}  // namespace otnfm::cpu
