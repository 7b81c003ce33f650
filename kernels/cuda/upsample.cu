// 20 bytes a number of the small image (half of it in bfloat16), and 3 FLOPs backward: bound by memory. A thread takes
// 16 bytes of a small pixel, where the addresses allow it, and has its four large ones: each number is read once and
// written once.
#include "kernels/upsample.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

/// Of a small image's row r (over all images) and column j: where the first of its four pixels is in the large one.
__device__ __forceinline__ std::int64_t first_of_four(std::int64_t pixel, std::int64_t width) {
  std::int64_t r, j;
  divide(pixel, width, r, j);
  return (2 * r * width + j) * 2;
}

template <int kWidth, class T>
__global__ void upsample_kernel(View<const T> x, T* y, std::int64_t width) {
  const std::int64_t C = x.columns();
  for_each_group<kWidth>(x.rows(), C, [&](std::int64_t pixel, std::int64_t c) {
    const auto value = load_group<kWidth>(x.row(pixel) + c);
    T* const to = y + first_of_four(pixel, width) * C + c;
    store_group(to, value);
    store_group(to + C, value);
    store_group(to + 2 * width * C, value);
    store_group(to + (2 * width + 1) * C, value);
  });
}

template <int kWidth, class T>
__global__ void upsample_backward_kernel(const T* dy, View<T> dx, std::int64_t width) {
  const std::int64_t C = dx.columns();
  for_each_group<kWidth>(dx.rows(), C, [&](std::int64_t pixel, std::int64_t c) {
    const T* const above = dy + first_of_four(pixel, width) * C + c;
    const T* const below = above + 2 * width * C;
    const auto first = as_floats(load_group<kWidth>(above)), second = as_floats(load_group<kWidth>(above + C));
    const auto third = as_floats(load_group<kWidth>(below)), fourth = as_floats(load_group<kWidth>(below + C));
    Group<float, kWidth> sum;
    for (int k = 0; k < kWidth; ++k) sum[k] = (first[k] + second[k]) + (third[k] + fourth[k]);
    store_group(dx.row(pixel) + c, stored_as<T>(sum));
  });
}

/// [B, H, W, C] as a matrix of pixels.
template <class T>
View<T> pixels_of(const View<T>& image) {
  return View<T>(image.data, {image.shape[0] * image.shape[1] * image.shape[2], image.shape[3]});
}

}  // namespace

void upsample(Stream& stream, const Upsample& a) {
  with_stored_type(a.x.dtype, [&]<class T>() {
    const View<const T> x = pixels_of(a.x.as<T>());
    T* const y = a.y.as<T>().data;
    const bool grouped = can_group<kWidest<T>>(x) && aligned16(y);
    launch(grouped ? upsample_kernel<kWidest<T>, T> : upsample_kernel<1, T>,
           grid_for(x.size() / (grouped ? kWidest<T> : 1), kElementThreads), kElementThreads, 0, stream.cuda(), x, y,
           a.x.shape[2]);
  });
}

void upsample_backward(Stream& stream, const UpsampleBackward& a) {
  with_stored_type(a.dx.dtype, [&]<class T>() {
    const View<T> dx = pixels_of(a.dx.as<T>());
    const T* const dy = a.dy.as<T>().data;
    const bool grouped = can_group<kWidest<T>>(dx) && aligned16(dy);
    launch(grouped ? upsample_backward_kernel<kWidest<T>, T> : upsample_backward_kernel<1, T>,
           grid_for(dx.size() / (grouped ? kWidest<T> : 1), kElementThreads), kElementThreads, 0, stream.cuda(), dy, dx,
           a.dx.shape[2]);
  });
}

}  // namespace otnfm::cuda
