// 8 bytes a point and one or two Philox blocks, a pair of normals and a sine: bound by arithmetic. The loop is
// branch-free and the kind a compile-time constant, so that g++ computes 16 points at once.
#include "kernels/distribution.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {

void sample_distribution(Stream&, const SampleDistribution& a) {
  const std::uint64_t seed = a.key.seed, step = step_of(a.key);
  const std::uint64_t first = static_cast<std::uint64_t>(a.key.first_row);
  const std::uint32_t stream = a.key.stream;
  const auto points = [&]<DistributionKind kind>(std::int64_t begin, std::int64_t end, const auto stride) {
    float* __restrict y = a.y.data;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::uint64_t block = 2 * (first + static_cast<std::uint64_t>(i));
      const Point2 p =
          sample_point<kind>(random_words(seed, stream, step, block), random_words(seed, stream, step, block + 1));
      y[i * stride] = p.x;
      y[i * stride + 1] = p.y;
    }
  };
  with_distribution(a.kind, [&]<DistributionKind kind>() {
    host::parallel_ranges(a.y.rows(), 1024, [&](std::int64_t begin, std::int64_t end) {
      if (a.y.row_stride() == 2)
        points.template operator()<kind>(begin, end, std::integral_constant<std::int64_t, 2>{});
      else
        points.template operator()<kind>(begin, end, a.y.row_stride());
    });
  });
}

}  // namespace otnfm::cpu
