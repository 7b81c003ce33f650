// 8 bytes an element for a copy, 6 for a cast: bound by memory.
#include "kernels/copy.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

template <int kWidth, class Arguments>
__global__ void convert_kernel(Arguments a) {
  using To = std::remove_reference_t<decltype(*a.y.data)>;
  for_each_group<kWidth>(a.x.rows(), a.x.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto x = load_group<kWidth>(a.x.row(i) + j);
    Group<To, kWidth> y;
    for (int k = 0; k < kWidth; ++k) y[k] = static_cast<To>(x[k]);
    store_group(a.y.row(i) + j, y);
  });
}

template <class Arguments>
void convert(Stream& stream, Arguments a) {
  flatten_if_contiguous(a.x, a.y);
  const bool grouped = can_group(a.x, a.y);
  launch(grouped ? convert_kernel<kGroup, Arguments> : convert_kernel<1, Arguments>,
         element_grid(a.x.rows(), a.x.columns(), grouped), kElementThreads, 0, stream.cuda(), a);
}

}  // namespace

void copy(Stream& stream, const Copy& a) {
  convert(stream, a);
}

void cast_to_bfloat16(Stream& stream, const CastToBfloat16& a) {
  convert(stream, a);
}

void cast_to_float32(Stream& stream, const CastToFloat32& a) {
  convert(stream, a);
}

}  // namespace otnfm::cuda
