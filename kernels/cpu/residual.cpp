// 12 bytes an element forward, 12 backward and 8 more for the weights of phi, 2 FLOPs and a term of phi: bound by
// memory where phi is identity or linear, else by phi's arithmetic.
#include "kernels/residual.h"

#include "kernels/cpu/time_terms.h"

namespace otnfm::cpu {

void residual(Stream&, const Residual& a) {
  const std::int64_t d = a.x.columns();
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    host::parallel_ranges(a.x.rows(), time_grain(kind, a.w, d), [&](std::int64_t begin, std::int64_t end) {
      for_each_phi<kind>(a.t, a.w, d, begin, end, [&](std::int64_t i, std::int64_t j, float phi) {
        a.y.row(i)[j] = a.x.row(i)[j] + phi * a.g.row(i)[j];
      });
    });
  });
}

void residual_backward(Stream&, const ResidualBackward& a) {
  const std::int64_t d = a.dy.columns();
  with_time_function(a.kind, [&]<TimeFunctionKind kind>() {
    host::parallel_ranges(a.dy.rows(), time_grain(kind, a.w, d), [&](std::int64_t begin, std::int64_t end) {
      for_each_phi<kind>(a.t, a.w, d, begin, end,
                         [&](std::int64_t i, std::int64_t j, float phi) { a.dg.row(i)[j] = a.dy.row(i)[j] * phi; });
    });
    if constexpr (kind != TimeFunctionKind::identity)
      if (a.dw.data)
        time_gradient<kind>(
            a.t, a.w, [&](std::int64_t i, std::int64_t j) { return a.dy.row(i)[j] * a.g.row(i)[j]; }, a.dw);
  });
}

}  // namespace otnfm::cpu
