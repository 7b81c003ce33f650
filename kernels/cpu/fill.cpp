// 4 bytes an element: bound by memory.
#include "kernels/fill.h"

#include "kernels/cpu/spans.h"

namespace otnfm::cpu {

void fill(Stream&, const Fill& a) {
  parallel_spans(a.y.rows(), a.y.columns(), a.y.contiguous(),
                 [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
                   std::fill(a.y.row(i) + begin, a.y.row(i) + end, a.value);
                 });
}

}  // namespace otnfm::cpu
