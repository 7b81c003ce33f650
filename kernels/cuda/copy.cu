// 8 bytes an element of float32, 6 where the type changes, 4 of bfloat16: bound by memory.
#include "kernels/copy.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

template <int kWidth, class From, class To>
__global__ void convert_kernel(View<const From> x, View<To> y) {
  for_each_group<kWidth>(x.rows(), x.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto from = load_group<kWidth>(x.row(i) + j);
    Group<To, kWidth> to;
    for (int k = 0; k < kWidth; ++k) to[k] = static_cast<To>(from[k]);
    store_group(y.row(i) + j, to);
  });
}

template <class From, class To>
void convert(Stream& stream, View<const From> x, View<To> y) {
  flatten_if_contiguous(x, y);
  const bool grouped = can_group(x, y);
  launch(grouped ? convert_kernel<kGroup, From, To> : convert_kernel<1, From, To>,
         element_grid(x.rows(), x.columns(), grouped), kElementThreads, 0, stream.cuda(), x, y);
}

}  // namespace

void copy(Stream& stream, const Copy& a) {
  with_stored_type(a.x.dtype, [&]<class From>() {
    with_stored_type(a.y.dtype, [&]<class To>() { convert(stream, a.x.as<From>(), a.y.as<To>()); });
  });
}

}  // namespace otnfm::cuda
