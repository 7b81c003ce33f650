// 4 (3 K + 3) bytes a moved element and some 4 K exponentials: bound by arithmetic. An element at a time: which bin a
// point lies in is a branch, and neighbours have other ones.
#include "kernels/spline_coupling.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void spline_coupling(Stream&, const SplineCoupling& a) {
  const std::int64_t d = a.x.columns(), n = a.phi.columns(), kept = d - n, weights = a.shape.weights();
  const std::int64_t* moved = a.index.data + kept;
  host::parallel_rows(a.x.rows(), d + n * weights, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float *x = a.x.row(i), *raw = a.raw.row(i), *phi = a.phi.row(i);
      float* y = a.y.row(i);
      double log_slope = 0;
      for (std::int64_t j = 0; j < n; ++j)
        y[moved[j]] = spline_map(raw + j * weights, phi[j], a.shape, x[moved[j]], a.inverse, log_slope);
      for (std::int64_t j = 0; j < kept; ++j) y[a.index.data[j]] = x[a.index.data[j]];
      if (a.log_det.data != nullptr) a.log_det.data[i] = static_cast<float>(log_slope);
    }
  });
}

void spline_coupling_backward(Stream&, const SplineCouplingBackward& a) {
  const std::int64_t d = a.x.columns(), n = a.phi.columns(), kept = d - n, weights = a.shape.weights();
  const std::int64_t* moved = a.index.data + kept;
  host::parallel_rows(a.x.rows(), d + n * weights, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float *x = a.x.row(i), *raw = a.raw.row(i), *phi = a.phi.row(i);
      const float* dy = a.dy.data == nullptr ? nullptr : a.dy.row(i);
      const float dlog_det = a.dlog_det.data == nullptr ? 0.0f : a.dlog_det.data[i];
      float *dx = a.dx.row(i), *draw = a.draw.row(i);
      for (std::int64_t j = 0; j < n; ++j)
        dx[moved[j]] = spline_gradient(raw + j * weights, phi[j], a.shape, x[moved[j]], a.inverse,
                                       dy ? dy[moved[j]] : 0.0f, dlog_det, draw + j * weights, a.dphi.row(i)[j]);
      for (std::int64_t j = 0; j < kept; ++j) dx[a.index.data[j]] = dy ? dy[a.index.data[j]] : 0.0f;
    }
  });
}

}  // namespace otnfm::cpu
