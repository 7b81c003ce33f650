// 1 byte read and 4 written a number, and 8 an index: bound by memory.
#include "kernels/gather_images.h"

#include <algorithm>
#include <limits>

#include "kernels/device/pixel.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void gather_images(Stream&, const GatherImages& a) {
  const std::int64_t n = a.images.shape[0], W = a.images.shape[2], C = a.images.shape[3], d = a.y.columns();
  host::parallel_rows(a.y.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t source = a.index.data[i];
      float* y = a.y.row(i);
      if (source < 0 || source >= 2 * n) {
        std::fill(y, y + d, std::numeric_limits<float>::quiet_NaN());
        continue;
      }
      const std::uint8_t* x = a.images.row(source < n ? source : source - n);
      if (source < n) {
        for (std::int64_t j = 0; j < d; ++j) y[j] = value_of_pixel(x[j]);
        continue;
      }
      // Turned one by one, and scaled a vector at a time.
      for (std::int64_t line = 0; line < d; line += W * C)
        for (std::int64_t w = 0; w < W; ++w)
          for (std::int64_t c = 0; c < C; ++c) y[line + w * C + c] = x[line + (W - 1 - w) * C + c];
      for (std::int64_t j = 0; j < d; ++j) y[j] = scale_pixel(y[j]);
    }
  });
}

}  // namespace otnfm::cpu
