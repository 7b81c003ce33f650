// 8 bytes a number, 4 of bfloat16: bound by memory. A row of a patch is p C numbers that lie together on both sides, so
// both directions exchange the two axes (row of a patch, patch of an image's row) of [B H/p, p, W/p, p C]. Reads are in
// order and writes in runs of p C numbers: whole sectors of 32 bytes from 8 numbers on.
#include "kernels/space_to_depth.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

/// x [outer, n, m, run] becomes y [outer, m, n, run]. x is a matrix of the runs.
template <int kWidth, class T>
__global__ void exchange_kernel(View<const T> x, T* y, std::int64_t n, std::int64_t m) {
  for_each_group<kWidth>(x.rows(), x.columns(), [&](std::int64_t r, std::int64_t c) {
    std::int64_t row, j, outer, i;
    divide(r, m, row, j);
    divide(row, n, outer, i);
    store_group(y + ((outer * m + j) * n + i) * x.columns() + c, load_group<kWidth>(x.row(r) + c));
  });
}

template <class T>
void exchange(Stream& stream, const T* from, T* to, std::int64_t outer, std::int64_t n, std::int64_t m,
              std::int64_t run) {
  const View<const T> x(from, {outer * n * m, run});
  const bool grouped = can_group<kWidest<T>>(x) && aligned16(to);
  launch(grouped ? exchange_kernel<kWidest<T>, T> : exchange_kernel<1, T>,
         grid_for(x.size() / (grouped ? kWidest<T> : 1), kElementThreads), kElementThreads, 0, stream.cuda(), x, to, n,
         m);
}

}  // namespace

void space_to_depth(Stream& stream, const SpaceToDepth& a) {
  const std::int64_t p = a.patch, rows = a.y.shape[0] * a.y.shape[1];
  with_stored_type(a.x.dtype, [&]<class T>() {
    exchange(stream, a.x.as<T>().data, a.y.as<T>().data, rows, p, a.y.shape[2], p * a.x.shape[3]);
  });
}

void depth_to_space(Stream& stream, const DepthToSpace& a) {
  const std::int64_t p = a.patch, rows = a.x.shape[0] * a.x.shape[1];
  with_stored_type(a.x.dtype, [&]<class T>() {
    exchange(stream, a.x.as<T>().data, a.y.as<T>().data, rows, a.x.shape[2], p, p * a.y.shape[3]);
  });
}

}  // namespace otnfm::cuda
