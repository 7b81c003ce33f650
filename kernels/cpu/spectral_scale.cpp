// 8 bytes an element forward; backward 20, as <dy, w> needs a pass of its own. The inner product is a sum of rows'
// sums, in double and in order: the same bits for any number of threads.
#include "kernels/spectral_scale.h"

#include "kernels/cpu/lanes.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void spectral_scale(Stream&, const SpectralScale& a) {
  const float sigma = a.sigma.data[0], factor = sigma > a.target ? a.target / sigma : 1.0f;
  const std::int64_t n = a.w.columns();
  host::parallel_rows(a.w.rows(), n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* w = a.w.row(i);
      float* y = a.y.row(i);
#pragma GCC ivdep
      for (std::int64_t j = 0; j < n; ++j) y[j] = factor * w[j];
    }
  });
}

void spectral_scale_backward(Stream&, const SpectralScaleBackward& a) {
  const float sigma = a.sigma.data[0];
  const bool scaled = sigma > a.target;
  const std::int64_t n = a.w.columns();
  float factor = 1.0f, along = 0.0f;
  if (scaled) {
    double inner = 0;
    for (std::int64_t i = 0; i < a.w.rows(); ++i) {
      const float *w = a.w.row(i), *dy = a.dy.row(i);
      inner += sum_lanes<float>(n, [&](const auto& load) { return load(w) * load(dy); });
    }
    factor = a.target / sigma;
    along = static_cast<float>(inner / sigma);
  }
  host::parallel_rows(a.w.rows(), n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float *dy = a.dy.row(i), *v = a.v.data;
      const float u = scaled ? along * a.u.data[i] : 0.0f;
      float* dw = a.dw.row(i);
#pragma GCC ivdep
      for (std::int64_t j = 0; j < n; ++j) dw[j] = factor * (dy[j] - u * v[j]);
    }
  });
}

}  // namespace otnfm::cpu
