// 4 bytes and 2 FLOPs a weight: bound by memory once the gradient is larger than the caches. Each chunk of a fixed size
// has its sum in the workspace, and the sums are added in their order, so threads do not change the result.
#include "kernels/device/gradient_norm.h"

#include <algorithm>

#include "kernels/gradient_norm.h"
#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

constexpr std::int64_t kChunk = 4096;
constexpr std::int64_t kLanes = 32;  // four vectors of doubles, to hide the latency of an addition
constexpr std::int64_t kMaxChunks = Stream::kWorkspaceBytes / sizeof(double);

double sum_of_squares(const float* x, std::int64_t n) {
  double lane[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::int64_t l = 0; l < kLanes; ++l) {
      const double value = x[i + l];
      lane[l] = __builtin_fma(value, value, lane[l]);
    }
  double sum = 0;
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  for (std::int64_t l = 0; l < kLanes; ++l) sum += lane[l];
  return sum;
}

}  // namespace

void gradient_norm(Stream& stream, const GradientNorm& a) {
  const std::int64_t n = a.gradient.shape[0];
  // Chunks grow only where 4 million of them (16 billion weights) would not do.
  const std::int64_t chunk = std::max(kChunk, (n + kMaxChunks - 1) / kMaxChunks), chunks = (n + chunk - 1) / chunk;
  double* partial = reinterpret_cast<double*>(stream.workspace());
  host::parallel_ranges(chunks, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c)
      partial[c] = sum_of_squares(a.gradient.data + c * chunk, std::min(chunk, n - c * chunk));
  });
  double square = 0;
  for (std::int64_t c = 0; c < chunks; ++c) square += partial[c];
  finish_gradient_norm(square, a.max_norm, a.norm.data, a.clip_scale.data);
}

}  // namespace otnfm::cpu
