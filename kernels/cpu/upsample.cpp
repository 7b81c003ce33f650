// 20 bytes a number of the small image: bound by memory. A pixel's channels lie together, so rows of the large image
// are copies of runs of C numbers.
#include "kernels/upsample.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void upsample(Stream&, const Upsample& a) {
  const std::int64_t H = a.x.shape[1], W = a.x.shape[2], C = a.x.shape[3];
  with_stored_type(a.x.dtype, [&]<class T>() {
    const T* const x = a.x.as<T>().data;
    T* const y = a.y.as<T>().data;
    host::parallel_rows(a.x.shape[0] * H, 4 * W * C, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        T* const first = y + row * 4 * W * C;
        for (std::int64_t j = 0; j < W; ++j) {
          const T* from = x + (row * W + j) * C;
          T* to = first + 2 * j * C;
#pragma GCC ivdep
          for (std::int64_t c = 0; c < C; ++c) to[c] = to[C + c] = from[c];
        }
        std::copy(first, first + 2 * W * C, first + 2 * W * C);
      }
    });
  });
}

void upsample_backward(Stream&, const UpsampleBackward& a) {
  const std::int64_t H = a.dx.shape[1], W = a.dx.shape[2], C = a.dx.shape[3];
  with_stored_type(a.dx.dtype, [&]<class T>() {
    const T* const dy = a.dy.as<T>().data;
    T* const dx = a.dx.as<T>().data;
    host::parallel_rows(a.dx.shape[0] * H, 4 * W * C, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        for (std::int64_t j = 0; j < W; ++j) {
          const T *above = dy + row * 4 * W * C + 2 * j * C, *below = above + 2 * W * C;
          T* to = dx + (row * W + j) * C;
#pragma GCC ivdep
          for (std::int64_t c = 0; c < C; ++c)
            to[c] = T((static_cast<float>(above[c]) + static_cast<float>(above[C + c])) +
                      (static_cast<float>(below[c]) + static_cast<float>(below[C + c])));
        }
    });
  });
}

}  // namespace otnfm::cpu
