// 8 bytes an element forward, 12 backward, two comparisons: bound by memory. ivdep because an output may be an input.
#include "kernels/clamp.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void clamp(Stream&, const Clamp& a) {
  const std::int64_t d = a.y.columns();
  host::parallel_rows(a.y.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = a.x.row(i);
      float* y = a.y.row(i);
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) y[j] = x[j] < a.low ? a.low : x[j] > a.high ? a.high : x[j];
    }
  });
}

void clamp_backward(Stream&, const ClampBackward& a) {
  const std::int64_t d = a.dx.columns();
  host::parallel_rows(a.dx.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float *x = a.x.row(i), *dy = a.dy.row(i);
      float* dx = a.dx.row(i);
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) dx[j] = x[j] < a.low || x[j] > a.high ? 0.0f : dy[j];
    }
  });
}

}  // namespace otnfm::cpu
