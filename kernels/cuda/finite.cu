// 4 bytes an element: bound by memory. The blocks' counts go through the workspace and not through an atomic, which
// would need the count set to zero first.
#include "kernels/finite.h"

#include "kernels/device/elements.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

template <int kWidth>
__global__ void count_nonfinite_kernel(CountNonfinite a, unsigned long long* partial) {
  unsigned long long count = 0;
  for_each_group<kWidth>(a.x.rows(), a.x.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto x = load_group<kWidth>(a.x.row(i) + j);
    for (int k = 0; k < kWidth; ++k) count += (bits_of(x[k]) & 0x7f800000u) == 0x7f800000u;
  });
  count = block_sum<kElementThreads>(count);
  if (threadIdx.x == 0) partial[blockIdx.x] = count;
}

__global__ void total_kernel(const unsigned long long* partial, std::int64_t parts, std::uint64_t* total) {
  unsigned long long count = 0;
  for (std::int64_t k = threadIdx.x; k < parts; k += kElementThreads) count += partial[k];
  count = block_sum<kElementThreads>(count);
  if (threadIdx.x == 0) *total = count;
}

}  // namespace

void count_nonfinite(Stream& stream, const CountNonfinite& arguments) {
  CountNonfinite a = arguments;
  flatten_if_contiguous(a.x);
  const bool grouped = can_group(a.x);
  const std::int64_t parts = element_grid(a.x.rows(), a.x.columns(), grouped);
  auto* const partial = reinterpret_cast<unsigned long long*>(stream.workspace());
  launch(grouped ? count_nonfinite_kernel<kGroup> : count_nonfinite_kernel<1>, parts, kElementThreads, 0, stream.cuda(),
         a, partial);
  launch(total_kernel, 1, kElementThreads, 0, stream.cuda(), partial, parts, a.count.data);
}

}  // namespace otnfm::cuda
