// 8 bytes a point and one or two Philox blocks, a pair of normals and a sine: bound by arithmetic, one thread a point.
#include "kernels/distribution.h"

#include "kernels/device/launch.h"

namespace otnfm::cuda {
namespace {

constexpr int kThreads = 256;

template <DistributionKind kind>
__global__ void sample_distribution_kernel(SampleDistribution a) {
  const std::int64_t rows = a.y.rows();
  const std::uint64_t step = step_of(a.key);
  for (std::int64_t i = blockIdx.x * std::int64_t{kThreads} + threadIdx.x; i < rows;
       i += std::int64_t{kThreads} * gridDim.x) {
    const std::uint64_t block = 2 * static_cast<std::uint64_t>(a.key.first_row + i);
    const Point2 p = sample_point<kind>(random_words(a.key.seed, a.key.stream, step, block),
                                        random_words(a.key.seed, a.key.stream, step, block + 1));
    a.y.row(i)[0] = p.x;
    a.y.row(i)[1] = p.y;
  }
}

}  // namespace

void sample_distribution(Stream& stream, const SampleDistribution& a) {
  with_distribution(a.kind, [&]<DistributionKind kind>() {
    launch(sample_distribution_kernel<kind>, grid_for(a.y.rows(), kThreads), kThreads, 0, stream.cuda(), a);
  });
}

}  // namespace otnfm::cuda
