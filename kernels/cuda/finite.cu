// 4 bytes an element (2 of bfloat16): bound by memory. The blocks' counts go through the workspace and not
// through an atomic, which would need the count set to zero first.
#include "kernels/finite.h"

#include "kernels/device/elements.h"
#include "kernels/device/warp.h"

namespace otnfm::cuda {
namespace {

template <int kWidth, class T>
__global__ void count_nonfinite_kernel(View<const T> matrix, unsigned long long* partial) {
  unsigned long long count = 0;
  for_each_group<kWidth>(matrix.rows(), matrix.columns(), [&](std::int64_t i, std::int64_t j) {
    const auto x = as_floats(load_group<kWidth>(matrix.row(i) + j));
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

void count_nonfinite(Stream& stream, const CountNonfinite& a) {
  auto* const partial = reinterpret_cast<unsigned long long*>(stream.workspace());
  const std::int64_t parts = with_stored_type(a.x.dtype, [&]<class T>() {
    View<const T> x = a.x.as<T>();
    flatten_if_contiguous(x);
    const bool grouped = can_group(x);
    const std::int64_t blocks = element_grid(x.rows(), x.columns(), grouped);
    launch(grouped ? count_nonfinite_kernel<kGroup, T> : count_nonfinite_kernel<1, T>, blocks, kElementThreads, 0,
           stream.cuda(), x, partial);
    return blocks;
  });
  launch(total_kernel, 1, kElementThreads, 0, stream.cuda(), partial, parts, a.count.data);
}

}  // namespace otnfm::cuda
