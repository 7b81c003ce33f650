// 8 bytes and some 30 operations for a sine and its cosine, a power of 10000 in double for every 32 of them: B K pairs,
// a launch's time and no more. A block takes the frequencies of 32 pairs a row, over rows.
#include "kernels/time_embedding.h"

#include "kernels/device/launch.h"
#include "kernels/device/time_embedding.h"

namespace otnfm::cuda {
namespace {

constexpr int kPairs = 32, kRows = 8;

__global__ void time_embedding_kernel(TimeEmbedding a) {
  const std::int64_t K = a.y.columns() / 2;
  const std::int64_t k = std::int64_t{blockIdx.x} * kPairs + threadIdx.x;
  if (k >= K) return;
  const float frequency = time_embedding_frequency(k, K);
  for (std::int64_t i = std::int64_t{blockIdx.y} * kRows + threadIdx.y; i < a.y.rows();
       i += std::int64_t{gridDim.y} * kRows) {
    float sine, cosine;
    time_embedding_of(a.t.data[i], frequency, sine, cosine);
    a.y.row(i)[k] = cosine;
    a.y.row(i)[K + k] = sine;
  }
}

}  // namespace

void time_embedding(Stream& stream, const TimeEmbedding& a) {
  const std::int64_t K = a.y.columns() / 2;
  const dim3 grid(static_cast<unsigned>(grid_for(K, kPairs)), static_cast<unsigned>(grid_for(a.y.rows(), kRows, 64)));
  launch(time_embedding_kernel, grid, dim3(kPairs, kRows), 0, stream.cuda(), a);
}

}  // namespace otnfm::cuda
