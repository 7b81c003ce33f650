// 12 bytes an element forward, 12 backward, 3 and 2 FLOPs: bound by memory.
#include "kernels/interpolate.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void interpolate(Stream&, const Interpolate& a) {
  const std::int64_t d = a.xt.columns();
  host::parallel_rows(a.xt.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float *x0 = a.x0.row(i), *x1 = a.x1.row(i);
      float* xt = a.xt.row(i);
      const float t = a.t.data[i], rest = 1.0f - t;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < d; ++j) xt[j] = rest * x0[j] + t * x1[j];
    }
  });
}

void interpolate_backward(Stream&, const InterpolateBackward& a) {
  const std::int64_t d = a.dxt.columns();
  const auto scaled = [&](const View<float>& to, auto factor_of) {
    if (to.data == nullptr) return;
    host::parallel_rows(a.dxt.rows(), d, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float* dxt = a.dxt.row(i);
        float* dx = to.row(i);
        const float factor = factor_of(a.t.data[i]);
#pragma GCC ivdep
        for (std::int64_t j = 0; j < d; ++j) dx[j] = factor * dxt[j];
      }
    });
  };
  scaled(a.dx0, [](float t) { return 1.0f - t; });
  scaled(a.dx1, [](float t) { return t; });
}

}  // namespace otnfm::cpu
