#include "bench/engine/train/gemm_rate.h"

#include <algorithm>
#include <chrono>

#include "kernels/matmul.h"
#include "kernels/memory.h"

namespace otnfm {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// FLOP/s of a 2048^3 product in float32.
double gemm_rate(Device device) {
  constexpr std::int64_t n = 2048;
  Stream stream(device);
  const Memory memory(device, 3 * n * n * sizeof(float), "a product");
  zero_bytes(stream, memory.data(), memory.bytes());
  float* base = reinterpret_cast<float*>(memory.data());
  const Matmul product{.a = View<const float>(base, {n, n}),
                       .b = View<const float>(base + n * n, {n, n}),
                       .c = View<float>(base + 2 * n * n, {n, n})};
  double best = 1e30;
  for (int k = 0; k < 4; ++k) {
    const double start = seconds_now();
    matmul(stream, product);
    stream.synchronize();
    if (k > 0) best = std::min(best, seconds_now() - start);
  }
  return 2.0 * n * n * n / best;
}

}  // namespace otnfm
