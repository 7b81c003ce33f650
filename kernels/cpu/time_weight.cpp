// 8 bytes and a division an element, of a batch's few: nothing to gain by threads.
#include "kernels/time_weight.h"

#include <algorithm>

namespace otnfm::cpu {

void time_weight(Stream&, const TimeWeight& a) {
  for (std::int64_t i = 0; i < a.t.size(); ++i) {
    const float t = std::max(a.t.data[i], a.lowest);
    a.weight.data[i] = 1.0f / (t * t);
  }
}

}  // namespace otnfm::cpu
