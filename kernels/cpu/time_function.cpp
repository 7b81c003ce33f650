// Forward 4 bytes an element, backward 4, and one activation a term: bound by arithmetic but for identity and linear.
#include "kernels/time_function.h"

#include "kernels/cpu/time_terms.h"

namespace otnfm::cpu {

void time_function(Stream&, const TimeFunction& a) {
  const std::int64_t d = a.phi.columns();
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    host::parallel_ranges(a.phi.rows(), time_grain(kind, a.w, d), [&](std::int64_t begin, std::int64_t end) {
      for_each_phi<kind>(a.t, a.w, d, begin, end,
                         [&](std::int64_t i, std::int64_t j, float phi) { a.phi.row(i)[j] = phi; });
    });
  });
}

void time_function_backward(Stream&, const TimeFunctionBackward& a) {
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    if constexpr (kind != TimeFunctionKind::identity)
      time_gradient<kind>(
          a.t, a.w, [&](std::int64_t i, std::int64_t j) { return a.dphi.row(i)[j]; }, a.dw);
  });
}

}  // namespace otnfm::cpu
