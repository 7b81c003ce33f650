// 8 bytes an element and 8 an index: bound by memory, the more so the shorter the rows. Neighbouring threads take
// neighbouring elements of a row, 16 bytes each where the addresses allow it.
#include "kernels/gather.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

template <int kWidth>
__global__ void gather_rows_kernel(GatherRows a) {
  for_each_group<kWidth>(a.y.rows(), a.y.columns(), [&](std::int64_t i, std::int64_t j) {
    const std::int64_t source = a.index.data[i];
    Group<float, kWidth> values;
    if (source >= 0 && source < a.x.rows())
      values = load_group<kWidth>(a.x.row(source) + j);
    else
      for (int k = 0; k < kWidth; ++k) values[k] = float_of_bits(0x7fc00000u);
    store_group(a.y.row(i) + j, values);
  });
}

}  // namespace

void gather_rows(Stream& stream, const GatherRows& a) {
  const bool grouped = can_group(a.x, a.y);
  launch(grouped ? gather_rows_kernel<kGroup> : gather_rows_kernel<1>, element_grid(a.y.rows(), a.y.columns(), grouped),
         kElementThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
