// 4 bytes an element: bound by memory, so 16 bytes a thread and store where the addresses allow it.
#include "kernels/fill.h"

#include "kernels/device/elements.h"

namespace otnfm::cuda {
namespace {

template <int kWidth>
__global__ void fill_kernel(Fill a) {
  Group<float, kWidth> values;
  for (int k = 0; k < kWidth; ++k) values[k] = a.value;
  for_each_group<kWidth>(a.y.rows(), a.y.columns(),
                         [&](std::int64_t i, std::int64_t j) { store_group(a.y.row(i) + j, values); });
}

}  // namespace

void fill(Stream& stream, const Fill& arguments) {
  Fill a = arguments;
  flatten_if_contiguous(a.y);
  const bool grouped = can_group(a.y);
  launch(grouped ? fill_kernel<kGroup> : fill_kernel<1>, element_grid(a.y.rows(), a.y.columns(), grouped),
         kElementThreads, 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
