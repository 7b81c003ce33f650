// 8 bytes an element moved, 4 of bfloat16: bound by memory. A thread moves 16 bytes of the wide matrix where all widths
// and addresses allow it, as those of an image's channels do; with a time column beside the points no row starts at a
// multiple of 16 bytes, and a thread moves an element.
#include "kernels/concat.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

/// [a | b] beside y. In SplitColumns a or b may be without memory.
template <class Wide, class Narrow>
struct Columns {
  View<Wide> y;
  View<Narrow> a, b;
};

template <int kWidth, class T>
__global__ void concat_columns_kernel(Columns<T, const T> v) {
  const std::int64_t m = v.a.columns();
  for_each_group<kWidth>(v.y.rows(), v.y.columns(), [&](std::int64_t i, std::int64_t j) {
    store_group(v.y.row(i) + j, load_group<kWidth>(j < m ? v.a.row(i) + j : v.b.row(i) + (j - m)));
  });
}

template <int kWidth, class T>
__global__ void split_columns_kernel(Columns<const T, T> v) {
  const std::int64_t m = v.a.columns();
  for_each_group<kWidth>(v.y.rows(), v.y.columns(), [&](std::int64_t i, std::int64_t j) {
    if ((j < m ? v.a.data : v.b.data) == nullptr) return;
    store_group(j < m ? v.a.row(i) + j : v.b.row(i) + (j - m), load_group<kWidth>(v.y.row(i) + j));
  });
}

__global__ void broadcast_kernel(Broadcast a) {
  const bool column = a.x.columns() == 1 && a.x.rows() == a.y.rows();
  for_each_group<1>(a.y.rows(), a.y.columns(),
                    [&](std::int64_t i, std::int64_t j) { a.y.row(i)[j] = column ? *a.x.row(i) : a.x.row(0)[j]; });
}

}  // namespace

void concat_columns(Stream& stream, const ConcatColumns& a) {
  with_stored_type(a.y.dtype, [&]<class T>() {
    const Columns<T, const T> v = {a.y.as<T>(), a.a.as<T>(), a.b.as<T>()};
    const bool grouped = can_group<kWidest<T>>(v.y, v.a, v.b);
    launch(grouped ? concat_columns_kernel<kWidest<T>, T> : concat_columns_kernel<1, T>,
           grid_for(v.y.size() / (grouped ? kWidest<T> : 1), kElementThreads), kElementThreads, 0, stream.cuda(), v);
  });
}

void split_columns(Stream& stream, const SplitColumns& a) {
  with_stored_type(a.y.dtype, [&]<class T>() {
    const Columns<const T, T> v = {a.y.as<T>(), a.a.as<T>(), a.b.as<T>()};
    const bool grouped = can_group<kWidest<T>>(v.y, v.a, v.b);
    launch(grouped ? split_columns_kernel<kWidest<T>, T> : split_columns_kernel<1, T>,
           grid_for(v.y.size() / (grouped ? kWidest<T> : 1), kElementThreads), kElementThreads, 0, stream.cuda(), v);
  });
}

void broadcast(Stream& stream, const Broadcast& a) {
  launch(broadcast_kernel, element_grid(a.y.rows(), a.y.columns(), false), kElementThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
