// Bound by memory: 8 bytes a selected element forward, and d + n elements a row backward.
#include "kernels/select_columns.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void select_columns(Stream&, const SelectColumns& a) {
  const std::int64_t n = a.index.shape[0];
  host::parallel_rows(a.x.rows(), n + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = a.x.row(i);
      float* y = a.y.row(i);
      for (std::int64_t j = 0; j < n; ++j) y[j] = x[a.index.data[j]];
      y[n] = a.t.data[i];
    }
  });
}

void select_columns_backward(Stream&, const SelectColumnsBackward& a) {
  const std::int64_t n = a.index.shape[0], d = a.dx.columns();
  host::parallel_rows(a.dx.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* dy = a.dy.row(i);
      float* dx = a.dx.row(i);
      std::fill(dx, dx + d, 0.0f);
      for (std::int64_t j = 0; j < n; ++j) dx[a.index.data[j]] = dy[j];
    }
  });
}

}  // namespace otnfm::cpu
